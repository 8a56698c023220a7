"""STORE: rows of C to memory."""

from collections.abc import Iterator

import numpy as np

from sparsat.hw.isa.instructions import Sem, Store

from .state import Machine, MachineError, check_range, chunks, mask
from .words import rounded


def store(machine: Machine, op: Store) -> Iterator[int]:
    """Run `op`; yields the semaphores it takes."""
    row_bytes = machine.config.cols * (4 if op.wide else 2)
    rows = _nest(op, op.d3_c, op.d2_c, op.d1_c, op.c_row) + op.c_base
    places = _nest(op, op.d3_stride, op.d2_stride, op.d1_stride, row_bytes)
    check_range("C rows", rows.min(initial=0), rows.max(initial=0), machine.c.shape[1])
    for o, i in chunks(op):
        yield mask(Sem.C_FULL)
        sums = machine.c[machine.store.advance()][rows]
        content = sums if op.wide else rounded(sums, machine.config.fmt)
        start = op.address + o * op.outer_stride + i * op.inner_stride
        _write_rows(machine.memory, start + places, content)
        machine.semaphores.give(mask(Sem.C_FREE))


def _nest(op: Store, d3: int, d2: int, d1: int, row: int) -> np.ndarray:
    """d3·i3 + d2·i2 + d1·i1 + row·j over a chunk's loops, in their order."""
    counts = (op.d3_count, op.d2_count, op.d1_count, op.rows)
    steps = (d3, d2, d1, row)
    axes = np.ix_(*(np.arange(n) * step for n, step in zip(counts, steps, strict=True)))
    return sum(axes, np.zeros(1, np.int64)).reshape(-1)


def _write_rows(memory: np.ndarray, addresses: np.ndarray, content: np.ndarray) -> None:
    """Write content [rows, cols] at `addresses`, whole rows; the later wins where two meet."""
    data = content.view(np.uint8)
    row_bytes = data.shape[1]
    if (addresses % row_bytes).any():
        raise MachineError(f"FIELD: an address of a row is not a multiple of {row_bytes}")
    low, high = addresses.min(initial=0), addresses.max(initial=0)
    check_range("memory", int(low), int(high) + row_bytes - 1, memory.size)
    whole = memory[: memory.size // row_bytes * row_bytes].reshape(-1, row_bytes)
    whole[addresses // row_bytes] = data
