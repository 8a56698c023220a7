"""UPDATE and VECTOR: lines from memory and back, beside the scratchpads."""

from numba import njit

from sparsat.hw.timing import SETUP, UPDATE_AHEAD
from sparsat.sim.engines.state import (
    BUSY,
    EMPTY,
    NEVER,
    UPDATE,
    UPDATE_BLOCKS,
    VECTOR,
    ask,
    finish,
    go_on,
    run_of_bytes,
)

# The runs of a step of UPDATE: it reads a block and writes an earlier one, then copies.
GRADIENT, MASTER, MOMENTUM, NEW_MASTER, NEW_MOMENTUM, COPIES = range(6)


@njit
def update_start(m):
    place = m.update
    place.block, place.run = 0, GRADIENT
    place.last = place.last_sorted = 0
    go_on(m.engines[UPDATE], BUSY, m.clock.now)
    _update_ask(m, m.clock.now + SETUP)


@njit
def update_served(m, end):
    """A burst's service ends in cycle `end`."""
    eng, place, now = m.engines[UPDATE], m.update, m.clock.now
    if eng.run_left:
        ask(eng, now + 1)
        return
    if place.run == MOMENTUM:
        _block_read(m, end + m.memory.latency)
    if _next_update_run(m):
        _update_ask(m, now + 1)
    else:
        _finish(m, UPDATE, end + m.memory.latency)


@njit
def _finish(m, e, at):
    """The instruction ends in cycle `at`, and the next one comes after it."""
    eng = m.engines[e]
    finish(m, e, at, eng.signal, eng.instruction)
    go_on(eng, EMPTY, at)


@njit
def _block_read(m, arrived):
    """A block passes WUVE, and the square that it completes SORE."""
    place, x = m.update, m.update.x
    slot = place.block % UPDATE_BLOCKS
    place.last = max(place.last, arrived) + x.elements
    place.passed[slot] = place.last
    if x.copies and place.block % x.square == x.square - 1:
        place.last_sorted = max(place.last_sorted, place.last) + x.sort
        place.sorted[slot] = place.last_sorted


@njit
def _update_ask(m, at):
    """Ask for the first burst of the run, at the earliest in cycle `at`."""
    ready = _update_run(m)
    ask(m.engines[UPDATE], max(at, ready))


@njit
def _next_update_run(m):
    """Whether there is one."""
    place, x = m.update, m.update.x
    while True:
        place.run += 1
        if place.run == COPIES + 4 * x.square:
            place.run = GRADIENT
            place.block += 1
        if place.block == x.blocks + UPDATE_AHEAD:
            return False
        if _exists(place):
            return True


@njit
def _exists(place):
    """Whether the step has the run."""
    x = place.x
    if place.run < NEW_MASTER:
        return place.block < x.blocks
    written = place.block - UPDATE_AHEAD
    if written < 0 or place.run < COPIES:
        return written >= 0
    plane = (place.run - COPIES) // x.square
    square_done = written % x.square == x.square - 1
    return x.copies == 1 and square_done and (plane % 2 == 0 or x.index == 1)


@njit
def _update_run(m):
    """Set the run; the cycle from which on it can be asked for."""
    eng, place, x = m.engines[UPDATE], m.update, m.update.x
    eng.write = place.run >= NEW_MASTER
    block = place.block - UPDATE_AHEAD if eng.write else place.block
    slot = block % UPDATE_BLOCKS
    if place.run >= COPIES:
        _copy_run(m, block // x.square, place.run - COPIES)
        return place.sorted[slot]
    base = x.momentum
    if place.run == GRADIENT:
        base = x.gradient
    elif place.run == MASTER or place.run == NEW_MASTER:
        base = x.master
    run_of_bytes(m, eng, base + block * x.block_bytes, x.block_bytes)
    return place.passed[slot] if eng.write else 0


@njit
def _copy_run(m, square, run):
    """Copies of a square: forward values, forward indices, backward values, backward indices."""
    x = m.update.x
    plane, part = run // x.square, run % x.square
    inner = x.in_blocks if x.transposed else x.out_blocks
    in_block, out_block = square // inner // x.taps, square % inner
    if x.transposed:
        in_block, out_block = out_block, in_block
    tap = square // inner % x.taps
    if plane < 2:
        row = (out_block * x.square + part) * x.forward_rows
        row += (tap * x.in_blocks + in_block) * x.kept
        base = x.forward_index if plane else x.forward
    else:
        row = (in_block * x.square + part) * x.backward_rows
        row += (tap * x.out_blocks + out_block) * x.kept
        base = x.backward_index if plane == 3 else x.backward
    width = x.index_bytes if plane % 2 else x.row_bytes
    run_of_bytes(m, m.engines[UPDATE], base + row * width, x.kept * width)


@njit
def vector_start(m):
    """It reads from line 0 on, and writes behind what it reads; or the host does it all."""
    eng, place, now = m.engines[VECTOR], m.vector, m.clock.now
    if place.host_cycles != NEVER:
        _finish(m, VECTOR, now + place.host_cycles)
        return
    place.read_line, place.read_left = 0, place.x.read
    place.write_line, place.write_left = place.x.read, place.x.write
    eng.write = 1
    go_on(eng, BUSY, now)
    if not _vector_ask(m, now + SETUP):
        _finish(m, VECTOR, now + SETUP)


@njit
def vector_served(m, end):
    """A burst's service ends in cycle `end`."""
    if not _vector_ask(m, m.clock.now + 1):
        _finish(m, VECTOR, end + m.memory.latency)


@njit
def _vector_ask(m, at):
    """Ask for a burst, read and written ones in turns; whether there is any."""
    eng, place = m.engines[VECTOR], m.vector
    if place.read_left and (eng.write or not place.write_left):
        eng.write, eng.run_line, eng.run_left = 0, place.read_line, place.read_left
        ask(eng, at)
        place.read_line, place.read_left = eng.run_line, eng.run_left
    elif place.write_left:
        eng.write, eng.run_line, eng.run_left = 1, place.write_line, place.write_left
        ask(eng, at)
        place.write_line, place.write_left = eng.run_line, eng.run_left
    else:
        return False
    return True
