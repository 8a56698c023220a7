"""Training tasks by name.

`digits`, `bytes-lm` and `closed-world` make their own data and run offline; `cifar10`, `cifar100`,
`tiny-imagenet` and `imagenet` read a directory of yours in the format they are distributed in.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sparsat.algo.models import shape_of
from sparsat.algo.tasks.base import DataError, Task, require_directory

__all__ = ["TASKS", "DataError", "Task", "check_task", "make_task", "task_class"]

TASKS = {
    "digits": ("digits", "Digits"),
    "bytes-lm": ("bytes_lm", "BytesLM"),
    "closed-world": ("closed_world", "ClosedWorld"),
    "cifar10": ("cifar", "Cifar10"),
    "cifar100": ("cifar", "Cifar100"),
    "tiny-imagenet": ("tiny_imagenet", "TinyImageNet"),
    "imagenet": ("imagenet", "ImageNet"),
}
"""name → (module of this package, class)."""


def task_class(name: str) -> type[Task]:
    """The class of a task. Raises `ValueError` that lists the known names."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}: known are {', '.join(TASKS)}")
    module, cls = TASKS[name]
    return getattr(import_module(f"sparsat.algo.tasks.{module}"), cls)


def make_task(name: str, data: Path | None = None, model: str | None = None) -> Task:
    """The task `name` on the data in `data`; `model` replaces the usual model of image tasks.

    Raises `ValueError` as `check_task` does, and `DataError` where the data are malformed.
    """
    check_task(name, data, model)
    make: Callable[..., Task] = task_class(name)
    return make() if data is None else make(data, model)


def check_task(name: str, data: Path | None, model: str | None) -> None:
    """Raise `ValueError` where a task cannot be made of these, without reading data."""
    task = task_class(name)
    if task.needs_data:
        require_directory(data, name, task.needs_data)
        shape_of(model or task.usual_model, name)
    elif data is not None:
        raise ValueError(f"task {name} makes its own data: leave out --data")
    elif model is not None:
        raise ValueError(f"task {name} has a model of its own: leave out --model")
