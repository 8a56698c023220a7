"""FETCH and the dispatcher: instructions from memory, from line 0 on, to the engines' queues."""

from numba import njit

from sparsat.hw.isa.instructions import INSTRUCTION_BYTES
from sparsat.hw.timing import BURST, DISPATCH, FETCH_BURSTS, QUEUE
from sparsat.sim.engines.state import EMPTY, FETCH, NEVER, ask


@njit
def fetch_start(m, rows):
    eng = m.engines[FETCH]
    m.front.engine = rows[0].engine
    eng.run_left = -(-len(rows) * INSTRUCTION_BYTES // m.line_bytes)
    ask(eng, 0)


@njit
def fetch_served(m, first):
    """A burst's service begins in cycle `first`."""
    front = m.front
    front.first[front.bursts % FETCH_BURSTS] = first
    front.bursts += 1
    _fetch(m)
    look(m)


@njit
def dispatch(m, rows, done):
    """Hand out the next instruction now."""
    front, now = m.front, m.clock.now
    done[front.next].entered = now
    e = front.engine
    eng = m.engines[e]
    if e == FETCH:
        done[front.next].start = now
        front.halted = 1
    else:
        eng.entered += 1
        if eng.stage == EMPTY:
            eng.wake = max(eng.at, now + 1)
    front.entered = now
    front.next += 1
    if not front.halted:
        front.engine = rows[front.next].engine
    if m.engines[FETCH].asked == NEVER:
        _fetch(m)
    look(m)


@njit
def look(m):
    """Set when the next instruction can go."""
    front = m.front
    front.at = NEVER
    if front.halted:
        return
    last_line = ((front.next + 1) * INSTRUCTION_BYTES - 1) // m.line_bytes
    burst = last_line // BURST
    e = front.engine
    full = e != FETCH and m.engines[e].entered - m.engines[e].popped == QUEUE
    if burst < front.bursts and not full:
        read = front.first[burst % FETCH_BURSTS] + last_line % BURST + 1 + m.memory.latency
        front.at = max(read + DISPATCH, front.entered + 1)


@njit
def _fetch(m):
    """Ask for the next burst if there is one and the buffer has room."""
    eng, front = m.engines[FETCH], m.front
    line = front.next * INSTRUCTION_BYTES // m.line_bytes
    if eng.run_left and line // BURST + FETCH_BURSTS > front.bursts:
        ask(eng, m.clock.now + 1)
