"""The machine's events in order."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numba import njit

from sparsat.hw import timing
from sparsat.hw.isa import instructions
from sparsat.sim import memory
from sparsat.sim.engines.decoded import Decoded
from sparsat.sim.engines.execute import exec_chunk, exec_due, exec_popped, exec_record, exec_start
from sparsat.sim.engines.front import dispatch, fetch_served, fetch_start, look
from sparsat.sim.engines.load import load_chunk, load_due, load_served, load_start
from sparsat.sim.engines.state import (
    CHUNK,
    DONE,
    EMPTY,
    ENGINES,
    EXEC,
    FETCH,
    LOAD_A,
    LOAD_B,
    NEVER,
    NO_INSTRUCTION,
    ON_MEMORY,
    STORE,
    UPDATE,
    WAITING,
    deliver,
    go_on,
    take,
)
from sparsat.sim.engines.store import (
    STORE_DUE,
    store_chunk,
    store_served,
    store_start,
)
from sparsat.sim.engines.stream import update_served, update_start, vector_served, vector_start
from sparsat.sim.memory import serve


def run_machine(state: np.ndarray, program: Decoded) -> np.ndarray:
    """Run until nothing more happens or a semaphore overflows; what is recorded of instructions."""
    done = np.zeros(len(program.rows), DONE)
    _compiled(_sources())(state, program, done)
    return done


def _sources() -> int:
    """A number that changes with the code that is compiled into the loop.

    Numba's cache looks at one function's own file; this stands for all the others.
    """
    others = (instructions.__file__, timing.__file__, memory.__file__)
    files = [*sorted(Path(__file__).parent.glob("*.py")), *map(Path, others)]
    text = b"".join(path.read_bytes() for path in files)
    return int.from_bytes(sha256(text).digest()[:7])


@cache
def _compiled(sources: int) -> Callable[..., None]:
    @njit(cache=True)
    def loop(state, program, done):
        _ = sources  # part of the key under which the compiled code is kept
        m = state[0]
        fetch_start(m, program.rows)
        clock = m.clock
        while clock.overflow < 0:
            clock.now = _next_event(m)
            if clock.now == NEVER:
                break
            given = clock.soonest == clock.now
            if given:
                deliver(m, done)
            for e in range(ENGINES):
                eng = m.engines[e]
                if eng.wake <= clock.now or (given and eng.missing):
                    if eng.stage < CHUNK:
                        _begin(m, e, program, done)
                    if eng.stage == CHUNK and _chunk(m, e) and e == EXEC and eng.stage == EMPTY:
                        exec_record(m, done)
            if m.front.at <= clock.now:
                dispatch(m, program.rows, done)
            if clock.free <= clock.now:
                _serve_next(m)

    return loop


@njit
def _next_event(m):
    clock = m.clock
    asked, wake = NEVER, NEVER
    for eng in m.engines:
        asked = min(asked, eng.asked)
        wake = min(wake, eng.wake)
    return min(min(clock.soonest, wake), min(m.front.at, max(asked, clock.free)))


@njit
def _begin(m, e, program, done):
    """Take an instruction from the queue and its semaphores, if that can be now."""
    eng, now = m.engines[e], m.clock.now
    if eng.stage == EMPTY and not _pop(m, e, program, done):
        return
    eng.wake = eng.at
    if now >= eng.at and take(m, e, eng.wait):
        done[eng.instruction].start = now
        _start(m, e, program)


@njit
def _pop(m, e, program, done):
    """Whether the engine could take an instruction from its queue."""
    eng, now = m.engines[e], m.clock.now
    eng.wake = NEVER
    if eng.popped == eng.entered:
        return False
    instruction = program.queue[program.queue_start[e] + eng.popped]
    eng.wake = max(eng.at, done[instruction].entered + 1)
    if now < eng.wake:
        return False
    m.waited[e].cycles[NO_INSTRUCTION] += now - eng.at
    row = program.rows[instruction]
    eng.instruction, eng.wait, eng.signal = instruction, row.wait, row.signal
    eng.popped += 1
    go_on(eng, WAITING, now)
    if e == EXEC:
        exec_popped(m)
    look(m)
    return True


@njit
def _start(m, e, program):
    row = program.rows[m.engines[e].instruction].row
    if e <= LOAD_B:
        m.loads[e - LOAD_A].x = program.load[row]
        load_start(m, e)
    elif e == EXEC:
        m.exec_.x = program.execute[row]
        exec_start(m)
    elif e == STORE:
        m.store.x = program.store[row]
        store_start(m)
    elif e == UPDATE:
        m.update.x = program.update[row]
        update_start(m)
    else:
        m.vector.x = program.vector[row]
        vector_start(m)


@njit
def _due(m, e):
    if e <= LOAD_B:
        return load_due(e)
    return exec_due(m) if e == EXEC else STORE_DUE


@njit
def _chunk(m, e):
    """Whether a chunk's tokens could be taken now; it has begun then."""
    eng = m.engines[e]
    if m.clock.now < eng.at or not take(m, e, _due(m, e)):
        return False
    if e <= LOAD_B:
        load_chunk(m, e)
    elif e == EXEC:
        exec_chunk(m)
    else:
        store_chunk(m)
    return True


@njit
def _serve_next(m):
    """Memory is free: serve the next engine in turn that has asked."""
    clock = m.clock
    for step in range(1, ENGINES + 1):
        e = (clock.turn + step) % ENGINES
        if m.engines[e].asked <= clock.now:
            _serve(m, e)
            return


@njit
def _serve(m, e):
    clock, eng = m.clock, m.engines[e]
    first = serve(m.memory, eng.asked, clock.now, eng.line, eng.lines, eng.write)
    end = first + eng.lines
    m.waited[e].cycles[ON_MEMORY] += first - max(eng.asked, eng.served)
    clock.turn, clock.free = e, end
    eng.served, eng.asked = end, NEVER
    if eng.write:
        eng.written += eng.lines
    else:
        eng.read += eng.lines
    if e == FETCH:
        fetch_served(m, first)
    elif e <= LOAD_B:
        load_served(m, e, end)
    elif e == STORE:
        store_served(m, end)
    elif e == UPDATE:
        update_served(m, end)
    else:
        vector_served(m, end)
