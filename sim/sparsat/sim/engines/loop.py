"""The machine's events in order."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

from numba import njit

from sparsat.hw import timing
from sparsat.hw.timing import DECODE
from sparsat.sim import memory as memory_module
from sparsat.sim.engines.execute import exec_chunk, exec_due, exec_start
from sparsat.sim.engines.front import dispatch, fetch_served, fetch_start, look
from sparsat.sim.engines.load import load_chunk, load_due, load_served, load_start
from sparsat.sim.engines.state import (
    CHUNK,
    EMPTY,
    ENGINES,
    EXEC,
    FETCH,
    LOAD_B,
    NEVER,
    NO_INSTRUCTION,
    ON_MEMORY,
    STORE,
    UPDATE,
    WAITING,
    Machine,
    deliver,
    go_on,
    take,
)
from sparsat.sim.engines.store import (
    STORE_DUE,
    store_chunk,
    store_owner,
    store_served,
    store_start,
)
from sparsat.sim.engines.stream import update_served, update_start, vector_served, vector_start
from sparsat.sim.memory import serve


def run_machine(m: Machine) -> None:
    """Run until nothing more happens or a semaphore overflows."""
    _compiled(_sources())(m)


def _sources() -> int:
    """A number that changes with the code that is compiled into the loop.

    Numba's cache looks at one function's own file; this stands for all the others.
    """
    files = [*Path(__file__).parent.glob("*.py"), Path(memory_module.__file__), Path(timing.__file__)]
    text = b"".join(path.read_bytes() for path in sorted(files))
    return int.from_bytes(sha256(text).digest()[:7])


@cache
def _compiled(sources: int) -> Callable[[Machine], None]:
    @njit(cache=True)
    def loop(m):
        _ = sources  # part of the key under which the compiled code is kept
        fetch_start(m)
        clock = m.clock[0]
        while clock.overflow < 0:
            clock.now = _next_event(m)
            if clock.now == NEVER:
                break
            _step_all(m)

    return loop


@njit
def _next_event(m):
    clock = m.clock[0]
    asked, wake = NEVER, NEVER
    for eng in m.engines:
        asked = min(asked, eng.asked)
        wake = min(wake, eng.wake)
    return min(min(clock.soonest, wake), min(m.front[0].at, max(asked, clock.free)))


@njit
def _step_all(m):
    """All that happens now."""
    clock = m.clock[0]
    given = clock.soonest == clock.now
    if given:
        deliver(m)
    for e in range(ENGINES):
        eng = m.engines[e]
        if eng.wake <= clock.now or (given and eng.missing):
            _step(m, e)
    if m.front[0].at <= clock.now:
        dispatch(m)
    if clock.free <= clock.now:
        _serve_next(m)


@njit
def _step(m, e):
    """Take an instruction, its semaphores, a chunk's tokens: whatever can be now."""
    eng, now = m.engines[e], m.clock[0].now
    if eng.stage == EMPTY and not _pop(m, e):
        return
    if eng.stage == WAITING:
        eng.wake = eng.at
        if now < eng.at or not take(m, e, m.program.rows[eng.instruction].wait):
            return
        m.done[eng.instruction].start = now
        _start(m, e)
    if eng.stage == CHUNK and now >= eng.at and take(m, e, _due(m, e)):
        _chunk(m, e)


@njit
def _pop(m, e):
    """Whether the engine could take an instruction from its queue."""
    eng, now = m.engines[e], m.clock[0].now
    eng.wake = NEVER
    if eng.popped == eng.entered:
        return False
    instruction = m.queue[m.queue_start[e] + eng.popped]
    eng.wake = max(eng.at, m.done[instruction].entered + 1)
    if now < eng.wake:
        return False
    m.waited[e, NO_INSTRUCTION] += now - eng.at
    eng.instruction = instruction
    eng.popped += 1
    go_on(eng, WAITING, now)
    if e == EXEC:
        place = m.execs[0]
        idle = max(0, now - place.idle)
        m.done[instruction].instruction += idle
        m.done[instruction].fill -= idle
        place.popped = now
        go_on(eng, WAITING, now + DECODE)
    look(m)
    return True


@njit
def _start(m, e):
    if e <= LOAD_B:
        load_start(m, e)
    elif e == EXEC:
        exec_start(m)
    elif e == STORE:
        store_start(m)
    elif e == UPDATE:
        update_start(m)
    else:
        vector_start(m)


@njit
def _due(m, e):
    if e <= LOAD_B:
        return load_due(e)
    return exec_due(m) if e == EXEC else STORE_DUE


@njit
def _chunk(m, e):
    if e <= LOAD_B:
        load_chunk(m, e)
    elif e == EXEC:
        exec_chunk(m)
    else:
        store_chunk(m)


@njit
def _serve_next(m):
    """Memory is free: serve the next engine in turn that has asked."""
    clock = m.clock[0]
    for step in range(1, ENGINES + 1):
        e = (clock.turn + step) % ENGINES
        if m.engines[e].asked <= clock.now:
            _serve(m, e)
            return


@njit
def _serve(m, e):
    clock, eng = m.clock[0], m.engines[e]
    first = serve(m.memory, eng.asked, clock.now, eng.line, eng.lines, eng.write)
    end = first + eng.lines
    m.waited[e, ON_MEMORY] += first - max(eng.asked, eng.served)
    clock.turn, clock.free = e, end
    eng.served, eng.asked = end, NEVER
    if e != FETCH:
        record = m.done[store_owner(m) if e == STORE else eng.instruction]
        if eng.write:
            record.written += eng.lines
        else:
            record.read += eng.lines
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
