"""What the engines share: the machine's state, semaphores, bursts. All times are cycles.

Within a cycle first all semaphores are given that are due, then engines take them in the order of
`Engine`, then the dispatcher hands out an instruction, then memory begins a burst. Whatever these
bring about comes in a later cycle.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import SEM_MAX, SEM_START, Opcode, Sem
from sparsat.hw.timing import BURST, FETCH_BURSTS, ROOM, UPDATE_AHEAD
from sparsat.sim.engines.decoded import Decoded
from sparsat.sim.memory import Memory

NEVER = 1 << 62
FETCH, LOAD_A, LOAD_B, EXEC, STORE, UPDATE, VECTOR = range(7)
ENGINES = 7
SEMS = len(Sem)
GIVES = 1024
"""Most gifts of semaphores under way: more than buffers, halves and latency allow."""
UPDATE_BLOCKS = UPDATE_AHEAD + 1

EMPTY, WAITING, CHUNK, BUSY = range(4)
"""Stages of an engine: it has no instruction, waits for that one's semaphores, waits for a chunk's,
asks for lines."""
NO_INSTRUCTION, ON_MEMORY = SEMS, SEMS + 1
CAUSES = SEMS + 2
"""Causes of waiting: the semaphores, an empty queue, memory."""


def _record(fields: str, **rings: int) -> np.dtype:
    scalars = [(name, "i8") for name in fields.split()]
    return np.dtype([*scalars, *((name, "i8", (length,)) for name, length in rings.items())])


CLOCK = _record("now free turn gives soonest overflow")
"""`free`: when memory is; `turn`: who had it last; `gives`: gifts under way, `soonest` the first of
them; `overflow`: a semaphore over its limit, or -1."""
GIVE = _record("time mask instruction")
"""One of each semaphore in `mask`, and the end of `instruction` unless that is -1."""
ENGINE = _record(
    "stage at wake missing waited cause instruction popped entered "
    "run_line run_left asked line lines write served"
)
"""`at`: the earliest cycle of what the stage waits for, `wake`: when to look; `missing`: semaphores
lacking when last looked, `waited` and `cause`: how long the last ones were waited for and which came
last (-1: none); `popped`, `entered`: instructions out of and into the queue. `run_line`, `run_left`:
lines still to ask for; `asked`: since when the burst of `lines` from `line` is (NEVER: none);
`served`: the end of the engine's last burst."""
FRONT = _record("at next entered halted bursts", first=FETCH_BURSTS)
"""FETCH and dispatcher: `at`: when instruction `next` can go, `entered`: when the last one went;
`bursts` fetched, and the first cycle of the last ones' service."""
LOAD = _record("o i segment index burst last", passed=ROOM)
"""Place in the loops, `burst` number, when the `last` burst passed SORE, when those before did."""
STORE_ = _record(
    "o i d1 d2 d3 byte end burst count read_end granted",
    line=ROOM,
    lines=ROOM,
    ready=ROOM,
    owner=ROOM,
    last=ROOM,
    drained=ROOM,
)
"""Place in the loops and in the run (bytes); `count` bursts staged of `burst` in all, each with its
lines, when it was read, its instruction, whether it is that one's last, and when it had drained."""
UPDATE_ = _record("block run last last_sorted", passed=UPDATE_BLOCKS, sorted=UPDATE_BLOCKS)
VECTOR_ = _record("read_line read_left write_line write_left")
EXEC_ = _record("o i free idle pending_c popped")
"""`free`: earliest issue of the next slot; `idle`: when the array is; `pending_c`: sums of the
last chunk wait for another one's first slot."""
INSTRUCTION = _record("entered start end read written busy a b c semaphores instruction fill")
"""What is recorded of each: see `machine.Timing`."""


class Machine(NamedTuple):
    """All of it, fit for numba. Arrays of one element are single records."""

    program: Decoded
    memory: Memory
    line_bytes: int
    queue: np.ndarray
    queue_start: np.ndarray
    clock: np.ndarray
    sems: np.ndarray
    gives: np.ndarray
    engines: np.ndarray
    front: np.ndarray
    loads: np.ndarray
    stores: np.ndarray
    updates: np.ndarray
    vectors: np.ndarray
    execs: np.ndarray
    done: np.ndarray
    waited: np.ndarray


def new_machine(config: SATConfig, program: Decoded, memory: Memory) -> Machine:
    """The machine at time 0: scratchpads free, nothing fetched."""
    engine = program.rows["engine"]
    sems = np.zeros(SEMS, np.int64)
    for sem, count in SEM_START.items():
        sems[sem] = count
    clock = np.zeros(1, CLOCK)
    clock["turn"], clock["soonest"], clock["overflow"] = ENGINES - 1, NEVER, -1
    engines = np.zeros(ENGINES, ENGINE)
    engines["wake"] = engines["asked"] = NEVER
    engines["cause"] = -1
    front = np.zeros(1, FRONT)
    front["at"], front["entered"] = NEVER, -1
    return Machine(
        program=program,
        memory=memory,
        line_bytes=config.line_bytes,
        queue=np.argsort(engine, kind="stable"),
        queue_start=np.searchsorted(np.sort(engine), np.arange(ENGINES)),
        clock=clock,
        sems=sems,
        gives=np.zeros(GIVES, GIVE),
        engines=engines,
        front=front,
        loads=np.zeros(2, LOAD),
        stores=np.zeros(1, STORE_),
        updates=np.zeros(1, UPDATE_),
        vectors=np.zeros(1, VECTOR_),
        execs=np.zeros(1, EXEC_),
        done=np.full(len(engine), 0, INSTRUCTION),
        waited=np.zeros((ENGINES, CAUSES), np.int64),
    )


@njit
def give(m, time, mask, instruction):
    """Give the semaphores of `mask` in cycle `time`; `instruction` (or -1) ends then."""
    clock = m.clock[0]
    if clock.gives == GIVES:
        raise RuntimeError("more semaphores under way than the machine can hold")
    gift = m.gives[clock.gives]
    gift.time, gift.mask, gift.instruction = time, mask, instruction
    clock.gives += 1
    clock.soonest = min(clock.soonest, time)


@njit
def deliver(m):
    """Give all that is due now."""
    clock = m.clock[0]
    clock.soonest = NEVER
    index = 0
    while index < clock.gives:
        gift = m.gives[index]
        if gift.time > clock.now:
            clock.soonest = min(clock.soonest, gift.time)
            index += 1
            continue
        for s in range(SEMS):
            if gift.mask >> s & 1:
                m.sems[s] += 1
                if m.sems[s] > SEM_MAX:
                    clock.overflow = s
        if gift.instruction >= 0:
            m.done[gift.instruction].end = clock.now
        clock.gives -= 1
        last = m.gives[clock.gives]
        gift.time, gift.mask, gift.instruction = last.time, last.mask, last.instruction


@njit
def take(m, e, mask):
    """Whether the engine could take all semaphores of `mask` now; it looks again when any is given."""
    missing = 0
    for s in range(SEMS):
        if mask >> s & 1 and m.sems[s] == 0:
            missing |= 1 << s
    eng = m.engines[e]
    if missing:
        eng.missing = missing
        eng.wake = NEVER
        return False
    for s in range(SEMS):
        m.sems[s] -= mask >> s & 1
    eng.waited, eng.cause = 0, -1
    if eng.missing:
        eng.waited, eng.cause = m.clock[0].now - eng.at, _lowest(eng.missing)
        m.waited[e, eng.cause] += eng.waited
        eng.missing = 0
    return True


@njit
def _lowest(mask):
    bit = 0
    while not mask >> bit & 1:
        bit += 1
    return bit


@njit
def go_on(eng, stage, at):
    """The engine's next stage, from cycle `at` on."""
    eng.stage, eng.at = stage, at
    eng.wake = NEVER if stage == BUSY else at


@njit
def ask(eng, asked):
    """Ask for the next burst of the engine's run in cycle `asked`."""
    eng.line = eng.run_line
    eng.lines = min(eng.run_left, BURST - eng.run_line % BURST)
    eng.run_line += eng.lines
    eng.run_left -= eng.lines
    eng.asked = asked


@njit
def run_of_bytes(m, eng, address, length):
    """A run over all lines that these bytes touch."""
    eng.run_line = address // m.line_bytes
    eng.run_left = (address + length - 1) // m.line_bytes + 1 - eng.run_line
