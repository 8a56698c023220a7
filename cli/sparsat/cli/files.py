"""Files that a command leaves behind: all of them or none."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


def check_writable(*paths: Path | None) -> None:
    """Raise `OSError` that says why one of `paths` could not be written, before any work, or
    `ValueError` where two are the same."""
    wanted = [path for path in paths if path is not None]
    for path in wanted:
        folder = path.absolute().parent
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory, it must be a file")
        if not folder.is_dir():
            raise FileNotFoundError(f"cannot write {path}: no directory {folder}")
        if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise PermissionError(f"cannot write {path}: permission denied")
        if [each.absolute() for each in wanted].count(path.absolute()) > 1:
            raise ValueError(f"{path} is asked for twice: each file needs a name of its own")


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file that appears as `path` when all of it is written; nothing is left otherwise."""
    folder = path.absolute().parent
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=folder)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(scratch, 0o666 & ~umask)
        os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise
