"""A cache of built directories, keyed by the content of whatever went into them."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def cache_root() -> Path:
    """`$SPARSAT_CACHE`, or `~/.cache/sparsat`."""
    return Path(os.environ.get("SPARSAT_CACHE") or Path.home() / ".cache" / "sparsat")


def cached(kind: str, key: Iterable[str], build: Callable[[Path], None]) -> Path:
    """The directory that `build(directory)` fills, built only if no build with this key exists.

    `key` must name everything the result depends on: inputs, flags, tool versions. Processes that
    ask for the same key at once build it once; a build that raises leaves nothing behind.
    """
    final = cache_root() / kind / _digest(key)
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with open(final.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            _build_atomically(final, build)
    return final


def _build_atomically(final: Path, build: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=final.parent))
    try:
        build(scratch)
        scratch.rename(final)
    except BaseException:
        shutil.rmtree(scratch)
        raise


def _digest(key: Iterable[str]) -> str:
    sha = hashlib.sha256()
    for part in key:
        data = part.encode()
        sha.update(f"{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()[:32]
