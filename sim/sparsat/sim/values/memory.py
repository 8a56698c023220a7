"""Tensors to and from the bytes of memory, in the layouts of docs/architecture.md."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.layout import Activation, Weights
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.copies import column_rows


class Memory:
    """The memory image of a program, all NaN at first: what is read by mistake shows."""

    def __init__(self, size: int) -> None:
        self.bytes = np.full(size, 0xFF, np.uint8)

    def put(self, address: int, values: np.ndarray) -> None:
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.bytes[address : address + flat.size] = flat

    def get(self, address: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.bytes[address : address + size].view(dtype).reshape(shape)

    def get_activation(self, address: int, layout: Activation) -> Tensor:
        """fp16 [images, height, width, channels]."""
        shape = (layout.images, layout.height, layout.row_values)
        rows = torch.from_numpy(self.get(address, shape, np.float16).copy())
        pixels = rows[..., : layout.width * layout.pitch].unflatten(2, (layout.width, layout.pitch))
        return pixels[..., : layout.channels]


def arranged(layout: Activation, values: Tensor) -> Tensor:
    """`values` [images, height, width, channels] of any type as `layout` has them: [images, height,
    row values]; padding is zero."""
    rows = values.new_zeros(layout.images, layout.height, layout.row_values)
    pixels = rows[..., : layout.width * layout.pitch].unflatten(2, (layout.width, layout.pitch))
    pixels[..., : layout.channels] = values
    return rows


def padded_weights(weights: Weights, values: Tensor) -> Tensor:
    """[taps, inputs, outputs] with zeros up to whole blocks."""
    _, i, o = values.shape
    whole = values.new_zeros(weights.taps, weights.inputs, weights.outputs)
    whole[:, :i, :o] = values
    return whole


def to_masters(config: SATConfig, values: Tensor, *, transposed: bool) -> Tensor:
    """[taps, inputs, outputs], whole blocks, in the order of masters and gradients."""
    values = values.transpose(1, 2) if transposed else values
    blocks = values.unflatten(1, (-1, config.block)).unflatten(3, (-1, config.cols))
    return blocks.permute(1, 0, 3, 2, 4).contiguous()


def from_masters(config: SATConfig, weights: Weights, flat: Tensor, *, transposed: bool) -> Tensor:
    """The inverse of `to_masters`."""
    inputs, outputs = weights.inputs, weights.outputs
    if transposed:
        inputs, outputs = outputs, inputs
    block, cols = config.block, config.cols
    blocks = flat.reshape(inputs // block, weights.taps, outputs // cols, block, cols)
    values = blocks.permute(1, 0, 3, 2, 4).reshape(weights.taps, inputs, outputs)
    return values.transpose(1, 2) if transposed else values


def operand_copy(
    config: SATConfig, values: Tensor, pattern: NMPattern | None, *, forward: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """The copy of whole weights [taps, inputs, outputs] that FF or BP reads: values and indices.

    Rows of `cols` columns, [column blocks, taps · reduced channels kept].
    """
    half = values.half() if forward else values.half().transpose(1, 2)
    matrix = half.reshape(-1, half.shape[2])  # [taps · reduced, columns]
    n, m = (pattern.n_keep, pattern.m) if pattern else (4, 4)
    rows = column_rows(config, len(matrix), n, m)
    if pattern is None:
        return _rows(config, matrix, rows).numpy(), None
    kept, index = pattern.pack(matrix, 0)  # [columns, groups, n]
    packed = [part.flatten(1).t() for part in (kept, index)]
    indices = _rows(config, packed[1], rows).numpy()
    return _rows(config, packed[0], rows).numpy(), indices[..., 0::2] | indices[..., 1::2] << 4


def _rows(config: SATConfig, matrix: Tensor, rows: int) -> Tensor:
    """[column blocks, rows, cols] with zeros behind the rows there are."""
    blocks = matrix.unflatten(1, (-1, config.cols)).transpose(0, 1)
    return F.pad(blocks, (0, 0, 0, rows - len(matrix))).contiguous()
