"""Captured steps on disk, so that a model seen before needs neither PyTorch nor its own file run.

An entry's name is a digest of all it depends on: the model's name, sizes and batch, the sources of
capture and of the built-in models or the text of the user's file, and PyTorch's version. Modules
that a user's file imports are not looked into; `refresh=True` captures anew after a change there.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from sparsat.dataflow.ir import Step
from sparsat.dataflow.models import Spec, load_model, parse_spec
from sparsat.hw.tools.cache import cache_root

SOURCES = (
    *("capture", "emit", "gemms", "ir", "kinds", "lower", "lower_gemms"),
    *("models", "placements", "tensors", "trace", "values"),
)
"""The modules beside this one that decide what a captured step looks like."""


def captured_step(model: str, batch: int, *, refresh: bool = False) -> Step:
    """The training step of `model` (see `load_model`), from disk if it was captured before.

    Raises `ValueError` like `load_model` and `capture`. A damaged entry is captured anew; a cache
    that cannot be written is done without.
    """
    path = entry(parse_spec(model, batch), batch)
    if not refresh and (step := _read(path)):
        return step
    step = _capture(model, batch)
    with suppress(OSError):
        _write(path, step.to_json())
    return step


def entry(spec: Spec, batch: int) -> Path:
    """Where the step of `spec` is kept, whether or not it is there."""
    file = spec.path.read_bytes() if spec.path else b""
    parts = [spec.name, spec.image, batch, spec.path and spec.path.name, _sha(file), _torch()]
    key = json.dumps([*parts, *(_sha(path.read_bytes()) for path in _sources(spec))])
    return cache_root() / "steps" / f"{_sha(key.encode())[:32]}.json"


def _capture(model: str, batch: int) -> Step:
    from sparsat.dataflow.capture import capture

    name, factory = load_model(model, batch)
    module, inputs = factory()
    return capture(module, inputs, name=name)


def _read(path: Path) -> Step | None:
    try:
        return Step.from_json(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    """All of it or nothing, whatever interrupts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix="writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def _sources(spec: Spec) -> Iterator[Path]:
    here = Path(__file__).parent
    yield from (here / f"{name}.py" for name in SOURCES)
    if spec.path is None:
        yield from sorted(_built_in_models().glob("*.py"))


def _built_in_models() -> Path:
    """The folder of the built-in models, found without importing them (that needs PyTorch)."""
    import sparsat

    folders = (Path(root) / "algo" / "models" for root in sparsat.__path__)
    return next(folder for folder in folders if folder.is_dir())


def _torch() -> str:
    """Which PyTorch would capture, found without importing it."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return "none"
    return _sha(Path(found.origin).with_name("version.py").read_bytes())


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
