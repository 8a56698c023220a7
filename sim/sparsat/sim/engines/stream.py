"""UPDATE and VECTOR: lines from memory and back, beside the scratchpads."""

from numba import njit

from sparsat.hw.timing import SETUP, UPDATE_AHEAD
from sparsat.sim.engines.state import (
    BUSY,
    EMPTY,
    NEVER,
    UPDATE,
    UPDATE_SQUARES,
    VECTOR,
    ask,
    finish,
    go_on,
    run_of_bytes,
)

# The runs of a step of UPDATE: it reads a square and writes an earlier one, then copies.
GRADIENT, MASTER, MOMENTUM, NEW_MASTER, NEW_MOMENTUM, COPIES = range(6)


@njit
def update_start(m):
    place = m.update
    place.square, place.run = 0, GRADIENT
    place.last = 0
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
        place.last = max(place.last, end + m.memory.latency) + place.x.elements
        place.passed[place.square % UPDATE_SQUARES] = place.last
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
        if place.run == COPIES + 4 * x.parts:
            place.run = GRADIENT
            place.square += 1
        if place.square == x.squares + UPDATE_AHEAD:
            return False
        if _exists(place):
            return True


@njit
def _exists(place):
    """Whether the step has the run."""
    x = place.x
    if place.run < NEW_MASTER:
        return place.square < x.squares
    if place.square < UPDATE_AHEAD or place.run < COPIES:
        return place.square >= UPDATE_AHEAD
    plane = (place.run - COPIES) // x.parts
    return x.copies == 1 and (plane % 2 == 0 or x.index == 1)


@njit
def _update_run(m):
    """Set the run; the cycle from which on it can be asked for."""
    eng, place, x = m.engines[UPDATE], m.update, m.update.x
    eng.write = place.run >= NEW_MASTER
    square = place.square - UPDATE_AHEAD if eng.write else place.square
    passed = place.passed[square % UPDATE_SQUARES]
    if place.run >= COPIES:
        _copy_run(m, square, place.run - COPIES)
        return passed + x.copied
    base = x.gradient
    if place.run == MASTER:
        base = x.master
    elif place.run == MOMENTUM:
        base = x.momentum
    elif place.run == NEW_MASTER:
        base = x.new_master
    elif place.run == NEW_MOMENTUM:
        base = x.new_momentum
    run_of_bytes(m, eng, base + square * x.square_bytes, x.square_bytes)
    return passed + x.computed if eng.write else 0


@njit
def _copy_run(m, square, run):
    """Copies of a square: natural values, natural indices, turned values, turned indices."""
    x = m.update.x
    plane, part = run // x.parts, run % x.parts
    across = square % x.across
    tap = square // x.across % x.taps
    down = square // x.across // x.taps
    if plane < 2:
        row = (across * x.parts + part) * x.natural_rows + (tap * x.down + down) * x.kept
        base = x.natural_index if plane else x.natural
    else:
        row = (down * x.parts + part) * x.turned_rows + (tap * x.across + across) * x.kept
        base = x.turned_index if plane == 3 else x.turned
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
