"""Where a run computes, and what its bits depend on there."""

import re

import torch

from sparsat.algo.training.errors import TrainError


def pick_device(name: str = "auto") -> torch.device:
    """The device `name`: "cpu", "cuda", "cuda:N", or "auto" for the GPU if there is one.

    Raises `TrainError` for another name and where PyTorch sees no such GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    known = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if known is None:
        raise TrainError(f"device is {name!r}; known are auto, cpu, cuda and cuda:N")
    if name != "cpu":
        _require_gpu(int(known[1] or 0))
    return torch.device(name)


def _require_gpu(number: int) -> None:
    if not torch.cuda.is_available():
        raise TrainError("no GPU is visible to PyTorch: use --device cpu")
    count = torch.cuda.device_count()
    if number >= count:
        raise TrainError(f"no device cuda:{number}: PyTorch sees {count}, counted from 0")


def set_up_torch(device: torch.device, threads: int) -> None:
    """Fix what bits depend on: the number of threads and, on a GPU, the choice of kernels."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
