"""LOAD_A and LOAD_B: runs of lines into the halves of a scratchpad."""

from numba import njit

from sparsat.hw.isa.instructions import Sem
from sparsat.hw.timing import BUFFER, ROOM, SETUP
from sparsat.sim.engines.state import (
    BUSY,
    CHUNK,
    EMPTY,
    LOAD_A,
    ask,
    finish,
    give,
    go_on,
)

FREE = (int(Sem.A_FREE), int(Sem.B_FREE))
FULL = (int(Sem.A_FULL), int(Sem.B_FULL))


@njit
def load_due(e):
    """Semaphores to take before a chunk."""
    return 1 << FREE[e - LOAD_A]


@njit
def load_start(m, e):
    place = m.loads[e - LOAD_A]
    place.o = place.i = 0
    go_on(m.engines[e], CHUNK, m.clock.now)


@njit
def load_chunk(m, e):
    """The chunk's token is taken."""
    place = m.loads[e - LOAD_A]
    place.segment, place.index = 0, 0
    _run(m, e)
    go_on(m.engines[e], BUSY, m.clock.now)
    _ask(m, e, m.clock.now + SETUP)


@njit
def load_served(m, e, end):
    """A burst's service ends in cycle `end`."""
    eng, place, now = m.engines[e], m.loads[e - LOAD_A], m.clock.now
    x = place.x
    if x.cost:
        _arrange(place, end - eng.lines + m.memory.latency, eng.lines, eng.run_left == 0)
    else:
        place.last = end + m.memory.latency
    if eng.run_left or _next_run(m, e):
        _ask(m, e, now + 1)
        return
    full = place.last + x.tail
    give(m, full, 1 << FULL[e - LOAD_A])
    place.i += 1
    if place.i == x.inner:
        place.i = 0
        place.o += 1
    if place.o < x.outer:
        go_on(eng, CHUNK, now + 1)
    else:
        finish(m, e, full, eng.signal, eng.instruction)
        go_on(eng, EMPTY, full if x.cost else now + 1)


@njit
def _arrange(place, first, lines, ends):
    """`lines`, of which the first is there in cycle `first`, pass SORE or the transposer; a segment
    `ends` with them or not."""
    place.last = max(first + BUFFER, place.last) + place.x.cost * lines
    if ends:
        place.last += place.x.fill
    place.passed[place.burst % ROOM] = place.last
    place.burst += 1


@njit
def _ask(m, e, at):
    """Ask in cycle `at`, or when SORE or the transposer has room if that is on the way."""
    place = m.loads[e - LOAD_A]
    if place.x.cost:
        at = max(at, place.passed[place.burst % ROOM])
    ask(m.engines[e], at)


@njit
def _next_run(m, e):
    """Whether the chunk has one: all segments of values, then all of indices."""
    place = m.loads[e - LOAD_A]
    place.segment += 1
    if place.segment == place.x.segments:
        if place.index or place.x.index_lines == 0:
            return False
        place.segment, place.index = 0, 1
    _run(m, e)
    return True


@njit
def _run(m, e):
    eng, place = m.engines[e], m.loads[e - LOAD_A]
    x, o, i, segment = place.x, place.o, place.i, place.segment
    if place.index:
        outer, inner = o * x.index_outer_stride, i * x.index_inner_stride
        eng.run_line = x.index_address + outer + inner + segment * x.index_segment_stride
        eng.run_left = x.index_lines
    else:
        outer, inner = o * x.outer_stride, i * x.inner_stride
        eng.run_line = x.address + outer + inner + segment * x.segment_stride
        eng.run_left = x.lines
