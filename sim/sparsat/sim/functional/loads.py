"""LOAD_A and LOAD_B: lines of memory into the halves of a scratchpad."""

from collections.abc import Iterator

import numpy as np

from sparsat.algo.patterns import NMPattern
from sparsat.hw.isa.instructions import LoadA, LoadB, Mode, Sem

from .state import Machine, MachineError, check_range, chunks, mask
from .words import prune_rows, unpack_indices


def load_a(machine: Machine, op: LoadA) -> Iterator[int]:
    """Run `op`; yields the semaphores it takes."""
    for o, i in chunks(op):
        yield mask(Sem.A_FREE)
        half = machine.a[machine.load_a.advance()]
        start = op.address + o * op.outer_stride + i * op.inner_stride
        segments = _segments(machine, start, op.segment_stride, op.segments, op.lines)
        _fill("A values", half, segments.view(np.uint16).reshape(-1))
        machine.semaphores.give(mask(Sem.A_FULL))


def load_b(machine: Machine, op: LoadB) -> Iterator[int]:
    """Run `op`; yields the semaphores it takes."""
    for o, i in chunks(op):
        yield mask(Sem.B_FREE)
        half = machine.load_b.advance()
        start = op.address + o * op.outer_stride + i * op.inner_stride
        segments = _segments(machine, start, op.segment_stride, op.segments, op.lines)
        rows, indices = _arranged(machine, op, segments.view(np.uint16))
        _fill("B rows", machine.b[half], rows)
        if op.index_lines:
            start = op.index_address + o * op.index_outer_stride + i * op.index_inner_stride
            stride = op.index_segment_stride
            packed = _segments(machine, start, stride, op.segments, op.index_lines)
            indices = unpack_indices(packed, machine.config.cols)
        _fill("B index rows", machine.b_index[half], indices)
        machine.semaphores.give(mask(Sem.B_FULL))


def _segments(machine: Machine, start: int, stride: int, segments: int, lines: int) -> np.ndarray:
    """The bytes [segments, lines · line_bytes] of a chunk."""
    size = lines * machine.config.line_bytes
    return np.stack([machine.span(start + s * stride, size) for s in range(segments)])


def _fill(what: str, half: np.ndarray, content: np.ndarray) -> None:
    check_range(what, 0, len(content) - 1, len(half))
    half[: len(content)] = content


def _arranged(machine: Machine, op: LoadB, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A chunk's values [segments, values] as rows of B, and the indices the mode itself makes."""
    cols = machine.config.cols
    if op.mode == Mode.PRUNE:
        pattern = NMPattern(op.n, op.m)
        return prune_rows(segments.reshape(-1, cols), pattern, machine.config.fmt)
    rows = _transposed(machine, op, segments) if op.mode == Mode.TRANSPOSE else segments
    return rows.reshape(-1, cols), np.zeros((0, cols), np.uint8)


def _transposed(machine: Machine, op: LoadB, segments: np.ndarray) -> np.ndarray:
    """Each segment's tokens as rows, [segments, ceil(tokens / cols), channels, cols]."""
    cols, count, used = machine.config.cols, segments.shape[1], op.tokens * op.channels
    if not 0 <= count - used < machine.config.line_bytes // 2 or used == 0:
        raise MachineError(
            f"FIELD: {op.tokens} tokens of {op.channels} values do not end in the last line of "
            f"{count} values"
        )
    tokens = segments[:, :used].reshape(op.segments, op.tokens, op.channels)
    padded = np.pad(tokens, ((0, 0), (0, -op.tokens % cols), (0, 0)))
    return padded.reshape(op.segments, -1, cols, op.channels).swapaxes(2, 3)
