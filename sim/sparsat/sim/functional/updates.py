"""UPDATE: momentum SGD on one tensor of weights, and its operands for the next step."""

from collections.abc import Iterator

import numpy as np

from sparsat.algo.patterns import NMPattern
from sparsat.hw.config import SATConfig
from sparsat.hw.formats import FP32
from sparsat.hw.isa.copies import column_rows
from sparsat.hw.isa.instructions import Update

from .state import Machine
from .words import as_tensor, pack_indices, prune_rows, rounded

# From here up a magnitude rounds to the smallest normal number or more.
_TINY_EDGE = FP32.smallest_normal * (1 - 2.0**-25)


def update(machine: Machine, op: Update) -> Iterator[int]:
    """Run `op`, which takes no semaphores by itself."""
    yield from ()
    config = machine.config
    size = 4 * op.taps * op.in_blocks * op.out_blocks * config.block**2
    old = [machine.span(at, size) for at in (op.master, op.momentum, op.gradient)]
    new = [machine.span(at, size) for at in (op.new_master, op.new_momentum)]
    w, v, g = (_flushed(_to_axes(config, op, plane.view(np.float32))) for plane in old)
    machine.overflow |= not np.isfinite(g).all()
    pattern = NMPattern(op.n, op.m) if op.copies else None
    with np.errstate(all="ignore"):
        w, v = _step(config, op, pattern, w, v, g)
        for plane, values in zip(new, (w, v), strict=True):
            plane[:] = _to_memory(config, op, values)
        if pattern:
            _write_copies(machine, op, pattern, w)


def _to_axes(config: SATConfig, op: Update, flat: np.ndarray) -> np.ndarray:
    """[taps, inputs, outputs] of a tensor as it lies in memory."""
    rows, columns = _sizes(config, op)
    blocks = (rows // config.block, op.taps, columns // config.cols, config.block, config.cols)
    tensor = flat.reshape(blocks).transpose(1, 0, 3, 2, 4).reshape(op.taps, rows, columns)
    return tensor.swapaxes(1, 2) if op.transposed else tensor


def _to_memory(config: SATConfig, op: Update, tensor: np.ndarray) -> np.ndarray:
    """The inverse of `_to_axes`, as bytes."""
    tensor = tensor.swapaxes(1, 2) if op.transposed else tensor
    rows, columns = _sizes(config, op)
    split = (op.taps, rows // config.block, config.block, columns // config.cols, config.cols)
    flat = np.ascontiguousarray(tensor.reshape(split).transpose(1, 0, 3, 2, 4))
    return flat.view(np.uint8).reshape(-1)


def _sizes(config: SATConfig, op: Update) -> tuple[int, int]:
    """Of the two axes in memory."""
    inputs, outputs = op.in_blocks * config.block, op.out_blocks * config.block
    return (outputs, inputs) if op.transposed else (inputs, outputs)


def _step(
    config: SATConfig,
    op: Update,
    pattern: NMPattern | None,
    w: np.ndarray,
    v: np.ndarray,
    g: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The new weights and momentum."""
    g = _product(g, op.inverse_scale)
    if pattern and not pattern.is_dense:
        bits = as_tensor(rounded(w, config.fmt), config.fmt)
        kept = pattern.mask(bits, dim=1).numpy()
        g = np.where(kept, g, _sum(g, _product(w, op.masked_decay)))
    g = _sum(g, _product(w, op.decay))
    v = _sum(_product(v, op.momentum_factor), g)
    return _sum(w, -_product(v, op.rate)), v


def _product(x: np.ndarray, factor_bits: int) -> np.ndarray:
    factor = _flushed(np.array(factor_bits, np.uint32).view(np.float32))
    return _round(x.astype(np.float64) * factor)


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _round(x.astype(np.float64) + y)


def _round(x: np.ndarray) -> np.ndarray:
    """Binary64 rounded to binary32 as the array does: no subnormals, no -0, one kind of NaN.

    A product of two binary32 is exact in binary64 and a sum has bits enough: this rounds once.
    """
    result = np.where(np.abs(x) < _TINY_EDGE, 0.0, x).astype(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), result)


def _flushed(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < FP32.smallest_normal, np.float32(0), x)


def _write_copies(machine: Machine, op: Update, pattern: NMPattern, w: np.ndarray) -> None:
    bits = rounded(w, machine.config.fmt)
    _write_copy(machine, bits, pattern, op.forward, op.forward_index)
    _write_copy(machine, bits.swapaxes(1, 2), pattern, op.backward, op.backward_index)


def _write_copy(
    machine: Machine, weights: np.ndarray, pattern: NMPattern, address: int, index_address: int
) -> None:
    """Write [taps, reduced, columns] as rows of each block of columns, pruned along `reduced`."""
    cols = machine.config.cols
    blocks = weights.reshape(-1, weights.shape[2] // cols, cols).swapaxes(0, 1)
    kept = blocks.shape[1] * pattern.n_keep // pattern.m
    rows, indices = prune_rows(blocks.reshape(-1, cols), pattern, machine.config.fmt)
    step = column_rows(machine.config, blocks.shape[1], pattern.n_keep, pattern.m)
    for number in range(len(blocks)):
        here = slice(number * kept, (number + 1) * kept)
        _write(machine, address + number * step * cols * 2, rows[here])
        if not pattern.is_dense:
            _write(machine, index_address + number * step * cols // 2, pack_indices(indices[here]))


def _write(machine: Machine, address: int, content: np.ndarray) -> None:
    machine.span(address, content.nbytes)[:] = np.ascontiguousarray(content).view(np.uint8).ravel()
