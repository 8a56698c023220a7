"""Where each tensor lies in memory, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from sparsat.dataflow import ir
from sparsat.dataflow.kinds import args_of, aten

STORED: dict[ir.Role, type[np.generic]] = {
    "activation": np.float16,
    "gradient": np.float16,
    "constant": np.float16,
    "weight": np.float32,
    "weight gradient": np.float32,
    "statistics": np.float32,
    "index": np.int32,
    "mask": np.uint8,
}
"""What an element is in memory; to the host FP16 is float32, int32 is int64."""


@dataclass(frozen=True)
class Place:
    """A tensor of `shape` that lies at the byte `address`.

    order : for each value in memory 1 + the index of the element that it is, 0 for padding; None
        where elements lie in their own order.
    """

    address: int
    dtype: type[np.generic]
    shape: tuple[int, ...]
    order: np.ndarray | None = None

    def put(self, memory: np.ndarray, value: Tensor) -> None:
        """Write float or integer `value`, rounded to nearest even."""
        flat = value.detach().reshape(-1).numpy().astype(self.dtype)
        if self.order is not None:
            flat = np.concatenate((np.zeros(1, self.dtype), flat))[self.order]
        here = memory[self.address : self.address + flat.nbytes]
        here[:] = flat.view(np.uint8)

    def get(self, memory: np.ndarray) -> Tensor:
        """The tensor, FP16 widened to float32; what memory does not hold of it is zero."""
        size = int(np.prod(self.shape))
        count = size if self.order is None else self.order.size
        here = memory[self.address : self.address + count * np.dtype(self.dtype).itemsize]
        values = here.view(self.dtype)
        if self.order is not None:
            flat = np.zeros(1 + size, self.dtype)
            flat[self.order] = values
            values = flat[1:]
        wide = np.float32 if np.issubdtype(self.dtype, np.floating) else np.int64
        return torch.from_numpy(values.astype(wide).reshape(self.shape))


@dataclass(frozen=True)
class Code:
    """How the host's values of a tensor become what its elements are in memory, and back."""

    to_memory: Callable[[Tensor], Tensor]
    from_memory: Callable[[Tensor], Tensor]


def code_of(tensor: ir.Tensor, node: Node) -> Code:
    """Raises `ValueError` for integers that do not fit a byte."""
    if tensor.role != "mask":
        return Code(lambda x: x, lambda x: x)
    if node.meta["val"].dtype == torch.bool:
        return Code(lambda x: x.to(torch.uint8), lambda x: x.bool())
    source = args_of(node)[0]
    if aten(source) != "max_pool2d_with_indices":
        raise ValueError(f"{tensor.name}: its positions do not fit a byte")
    return _positions(source)


def _positions(pool: Node) -> Code:
    """Positions within an input plane as positions within the window."""
    x, kernel, *given = args_of(pool)
    usual = [kernel, (0, 0), (1, 1)]
    stride, padding, dilation = given[:3] + usual[len(given) :]
    width = x.meta["val"].shape[-1]
    oh, ow = pool.meta["val"][1].shape[-2:]
    top = torch.arange(oh)[:, None] * stride[0] - padding[0]
    left = torch.arange(ow) * stride[1] - padding[1]

    def inside(position: Tensor) -> Tensor:
        y, x = position // width - top, position % width - left
        return (y // dilation[0]) * kernel[1] + x // dilation[1]

    def outside(position: Tensor) -> Tensor:
        y, x = position // kernel[1] * dilation[0], position % kernel[1] * dilation[1]
        return (y + top) * width + x + left

    return Code(inside, outside)


def rounded(tensor: ir.Tensor, value: Tensor) -> Tensor:
    """`value` as precise as memory holds it, and laid out as from there: sums depend on that."""
    value = value.half().float() if STORED[tensor.role] is np.float16 else value
    return value.clone(memory_format=torch.contiguous_format)
