"""STORE: reads rows of C ahead into a few bursts, which go to memory in order."""

from numba import njit

from sparsat.hw.isa.instructions import Sem
from sparsat.hw.timing import BURST, ROOM, SETUP
from sparsat.sim.engines.state import BUSY, CHUNK, EMPTY, NEVER, STORE, finish, give, go_on

STORE_DUE = 1 << int(Sem.C_FULL)
C_FREE = 1 << int(Sem.C_FREE)


@njit
def store_start(m):
    place = m.store
    place.o = place.i = 0
    m.engines[STORE].write = 1
    go_on(m.engines[STORE], CHUNK, m.clock.now)


@njit
def store_chunk(m):
    """The chunk's token is taken."""
    place, now = m.store, m.clock.now
    place.d1 = place.d2 = place.d3 = 0
    place.read_end = now + SETUP
    _run(m)
    go_on(m.engines[STORE], BUSY, now)
    _read_ahead(m)


@njit
def store_served(m, end):
    """The first staged burst's service ends in cycle `end`."""
    place = m.store
    slot = (place.burst - place.count) % ROOM
    if place.last[slot]:
        finish(m, STORE, end + m.memory.latency, place.signal[slot], place.owner[slot])
    place.drained[slot] = end
    place.count -= 1
    place.granted = m.clock.now
    _read_ahead(m)


@njit
def _read_ahead(m):
    """Read as many bursts as there is room for; ask for the first one."""
    eng, place = m.engines[STORE], m.store
    while eng.stage == BUSY and place.count < ROOM:
        slot = place.burst % ROOM
        _read(m, slot)
        place.owner[slot], place.signal[slot] = eng.instruction, eng.signal
        place.last[slot] = 0
        place.burst += 1
        place.count += 1
        if place.byte == place.end and not _next_run(m):
            give(m, place.read_end, C_FREE)
            place.last[slot] = not _next_chunk(m)
            go_on(eng, EMPTY if place.last[slot] else CHUNK, place.read_end)
    if eng.asked == NEVER and place.count:
        slot = (place.burst - place.count) % ROOM
        eng.line, eng.lines = place.line[slot], place.lines[slot]
        eng.asked = max(place.ready[slot], place.granted + 1)


@njit
def _read(m, slot):
    """Read the rows of the run's next burst."""
    place = m.store
    row_bytes = place.x.row_bytes
    line = place.byte // m.line_bytes
    cut = min(place.end, (line // BURST + 1) * BURST * m.line_bytes)
    rows = -(-(cut - place.byte) // row_bytes)
    place.line[slot] = line
    place.lines[slot] = (cut - 1) // m.line_bytes + 1 - line
    place.read_end = max(place.read_end, place.drained[slot]) + rows
    place.ready[slot] = place.read_end
    place.byte = cut


@njit
def _next_run(m):
    """Whether the chunk has one."""
    place, x = m.store, m.store.x
    place.d1 += 1
    if place.d1 == x.d1_count:
        place.d1 = 0
        place.d2 += 1
    if place.d2 == x.d2_count:
        place.d2 = 0
        place.d3 += 1
    if place.d3 == x.d3_count:
        return False
    _run(m)
    return True


@njit
def _next_chunk(m):
    """Whether the instruction has one."""
    place, x = m.store, m.store.x
    place.i += 1
    if place.i == x.inner:
        place.i = 0
        place.o += 1
    return place.o < x.outer


@njit
def _run(m):
    place, x = m.store, m.store.x
    chunk = x.address + place.o * x.outer_stride + place.i * x.inner_stride
    d3, d2, d1 = place.d3 * x.d3_stride, place.d2 * x.d2_stride, place.d1 * x.d1_stride
    place.byte = chunk + d3 + d2 + d1
    place.end = place.byte + x.rows * x.row_bytes
