"""Models by name or from a file, with inputs of the size and batch asked for.

    resnet50                  a built-in at its dataset's image size
    resnet18@224              a built-in at another size
    nets/mine.py:build        build() returns a module, or (module, example input or inputs)
    nets/mine.py:build@64     a module alone is given images [batch, 3, 64, 64] (default 224)

Nothing here imports PyTorch or the file until the returned factory is called.
"""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

BUILTINS = {"resnet9": 32, "vit": 32, "vgg19": 32, "resnet18": 64, "resnet50": 224}
"""Edge in pixels of the images of the dataset each is paired with."""

DEFAULT_IMAGE = 224
MAX_BATCH = 2**24
"""More than any memory holds; PyTorch counts the bytes of a tensor in 64 bits."""

Factory = Callable[[], tuple[Any, tuple[Any, ...]]]
"""() → (module, inputs); the inputs have shapes and types but no storage."""


@dataclass(frozen=True)
class Spec:
    """A model asked for: a built-in (`path` is None) or a function `name` of a file."""

    name: str
    image: int
    path: Path | None = None


def parse_spec(text: str, batch: int) -> Spec:
    """Read a model's name. Raises a one-line `ValueError` that says what exists instead."""
    if not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch must be at least 1 and at most {MAX_BATCH}, not {batch}")
    rest, image = _split_image(text)
    if ".py" in rest:
        return _file_spec(rest, image or DEFAULT_IMAGE)
    if rest not in BUILTINS:
        known = ", ".join(BUILTINS)
        raise ValueError(f"unknown model {text!r}: known are {known}, or path.py:factory")
    return Spec(rest, image or BUILTINS[rest])


def load_model(text: str, batch: int) -> tuple[str, Factory]:
    """The model's display name and the factory that builds it. Raises like `parse_spec`."""
    spec = parse_spec(text, batch)
    if spec.path is None:
        usual = spec.image == BUILTINS[spec.name]
        name = spec.name if usual else f"{spec.name}@{spec.image}"
        return name, lambda: _built_in(spec, batch)
    return f"{spec.path.name}:{spec.name}", lambda: _from_file(spec, batch)


def _split_image(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+)@(\d+)", text)
    if not match:
        return text, None
    image = int(match[2])
    if image < 1:
        raise ValueError(f"{text!r}: the image size must be at least 1")
    return match[1], image


def _file_spec(text: str, image: int) -> Spec:
    file, _, function = text.rpartition(":")
    if not file or not function.isidentifier():
        raise ValueError(f"{text!r}: write path.py:factory, naming a function of the file")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file")
    return Spec(function, image, path)


def _built_in(spec: Spec, batch: int) -> tuple[Any, tuple[Any, ...]]:
    """The classes are those of the dataset with this image size, if possible the paired one."""
    from sparsat.algo.models import DATASETS, MODELS, PAIRING

    paired = DATASETS[PAIRING[spec.name]]
    same_size = [each for each in DATASETS.values() if each.image == spec.image]
    dataset = paired if paired in same_size or not same_size else same_size[0]
    try:
        module = MODELS[spec.name](dataset.classes, spec.image)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{spec.name}@{spec.image} cannot be built: {error}") from None
    return module, (_images(batch, spec.image),)


def _from_file(spec: Spec, batch: int) -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    made = _call(spec)
    module, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"{spec.path}:{spec.name} returned {type(made).__name__}, "
            "expected a module or (module, example input)"
        )
    if example is None:
        return module, (_images(batch, spec.image),)
    return module, _resized(example, batch)


def _call(spec: Spec) -> Any:
    module = _import(spec)
    factory = getattr(module, spec.name, None)
    if not callable(factory):
        functions = [name for name, each in vars(module).items() if _defined_in(module, each)]
        raise ValueError(f"{spec.path} has no {spec.name}: it has {', '.join(functions) or 'none'}")
    try:
        return factory()
    except (Exception, SystemExit) as error:  # the file is somebody's program
        raise ValueError(f"{spec.path}:{spec.name}() fails: {_describe(error)}") from error


def _import(spec: Spec) -> ModuleType:
    assert spec.path is not None
    found = importlib.util.spec_from_file_location(f"sparsat_model_{spec.path.stem}", spec.path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # likewise
        raise ValueError(f"{spec.path} cannot be imported: {_describe(error)}") from error
    return module


def _defined_in(module: ModuleType, value: Any) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _images(batch: int, image: int) -> Any:
    import torch

    return torch.empty(batch, 3, image, image, device="meta")


def _resized(example: Any, batch: int) -> tuple[Any, ...]:
    """The example inputs with `batch` in place of the first tensor's first dimension."""
    import torch

    inputs = tuple(example) if isinstance(example, tuple | list) else (example,)
    shapes = [each.shape for each in inputs if isinstance(each, torch.Tensor)]
    usual = shapes[0][0] if shapes and shapes[0] else None

    def resize(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.ndim or value.shape[0] != usual:
            return value
        return torch.empty(batch, *value.shape[1:], dtype=value.dtype, device="meta")

    return tuple(resize(value) for value in inputs)
