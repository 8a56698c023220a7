"""What the engines share: the machine's state, semaphores, bursts. All times are cycles.

Within a cycle first all semaphores are given that are due, then engines take them in the order of
`Engine`, then the dispatcher hands out an instruction, then memory begins a burst. Whatever these
bring about comes in a later cycle.
"""

import numpy as np
from numba import njit

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import SEM_MAX, SEM_START, Sem
from sparsat.hw.timing import BURST, FETCH_BURSTS, ROOM, UPDATE_AHEAD
from sparsat.sim.engines.decoded import EXECUTE, LOAD, STORE_TABLE, UPDATE_TABLE, VECTOR_TABLE
from sparsat.sim.records import record

NEVER = 1 << 62
FETCH, LOAD_A, LOAD_B, EXEC, STORE, UPDATE, VECTOR = range(7)
ENGINES = 7
SEMS = len(Sem)
GIVES = 1024
"""Most gifts of semaphores under way: more than buffers, halves and latency allow."""
UPDATE_SQUARES = UPDATE_AHEAD + 1

EMPTY, WAITING, CHUNK, BUSY = range(4)
"""Stages of an engine: it has no instruction, waits for that one's semaphores, waits for a chunk's,
asks for lines."""
NO_INSTRUCTION, ON_MEMORY = SEMS, SEMS + 1
CAUSES = SEMS + 2
"""Causes of waiting: the semaphores, an empty queue, memory."""

CLOCK = record("now free turn gives soonest overflow")
"""`free`: when memory is; `turn`: who had it last; `gives`: gifts under way, `soonest` the first of
them; `overflow`: a semaphore over its limit, or -1."""
GIVE = record("time mask instruction read written")
"""One of each semaphore in `mask`; the end of `instruction` unless that is -1, and its lines."""
ENGINE = record(
    "stage at wake missing cause instruction wait signal popped entered "
    "run_line run_left asked line lines write served read written"
)
"""`at`: the earliest cycle of what the stage waits for, `wake`: when to look; `missing`: semaphores
lacking when last looked, `cause`: which of those taken last came last (-1: none had to); `popped`,
`entered`: instructions out of and into the queue. `run_line`, `run_left`: lines still to ask for;
`asked`: since when the burst of `lines` from `line` is (NEVER: none); `served`: the end of the
last burst; `read`, `written`: lines of the instruction so far."""
FRONT = record("at next engine entered halted bursts", first=FETCH_BURSTS)
"""FETCH and dispatcher: `at`: when instruction `next`, for `engine`, can go, `entered`: when the
last one went; `bursts` fetched, and the first cycle of the last ones' service."""
LOADING = record("o i segment index burst last", passed=ROOM, x=LOAD)
"""Place in the loops; how many bursts (`burst`) went to SORE or the transposer, when the last ones
have `passed`; when the `last` one of all has; `x` is the instruction, here and below."""
STORING = record(
    "o i d1 d2 d3 byte end burst count read_end granted",
    line=ROOM,
    lines=ROOM,
    ready=ROOM,
    owner=ROOM,
    signal=ROOM,
    last=ROOM,
    drained=ROOM,
    x=STORE_TABLE,
)
"""Place in the loops and in the run (bytes); `count` bursts staged, `burst` in all: each with its
lines, when it was read, its instruction, whether it is that one's last, and when it had drained."""
UPDATING = record("square run last", passed=UPDATE_SQUARES, x=UPDATE_TABLE)
"""The step's `square` and `run`; when the last squares have passed, the `last` one of all."""
STREAMING = record("host_cycles read_line read_left write_line write_left", x=VECTOR_TABLE)
"""`host_cycles` is what the host takes for each VECTOR; NEVER: its lines pass by instead."""
SPENT = record("busy a b c instruction fill")
EXECUTING = record("o i free idle goes_on pending_c", x=EXECUTE, spent=SPENT)
"""`free`: earliest issue of the next slot; `idle`: when the array is; `goes_on`: the next chunk
belongs to the same operation; `pending_c`: sums of the last chunk wait for the next one's first
slot; `spent`: see `machine.Timing`."""
DONE = record("entered start end read written busy a b c instruction fill")
"""What is recorded of each instruction: see `machine.Timing`."""
WAITS = record("", cycles=CAUSES)
"""Cycles that an engine waited, by cause."""


def new_state(config: SATConfig, memory: np.ndarray, host_cycles: int | None = None) -> np.ndarray:
    """The machine at time 0, one record: scratchpads free, nothing fetched."""
    kind = record(
        "line_bytes",
        clock=CLOCK,
        sems=SEMS,
        gives=(GIVE, GIVES),
        engines=(ENGINE, ENGINES),
        front=FRONT,
        loads=(LOADING, 2),
        exec_=EXECUTING,
        store=STORING,
        update=UPDATING,
        vector=STREAMING,
        memory=memory.dtype,
        waited=(WAITS, ENGINES),
    )
    state = np.zeros(1, kind)
    state["line_bytes"], state["memory"] = config.line_bytes, memory
    for sem, count in SEM_START.items():
        state["sems"][0, sem] = count
    clock, engines, front = state["clock"], state["engines"], state["front"]
    clock["turn"], clock["soonest"], clock["overflow"] = ENGINES - 1, NEVER, -1
    engines["wake"] = engines["asked"] = NEVER
    engines["cause"] = -1
    state["vector"]["host_cycles"] = NEVER if host_cycles is None else host_cycles
    front["at"], front["entered"] = NEVER, -1
    return state


@njit
def give(m, time, mask):
    """Give the semaphores of `mask` in cycle `time`."""
    clock = m.clock
    if clock.gives == GIVES:
        raise RuntimeError("more semaphores under way than the machine can hold")
    gift = m.gives[clock.gives]
    gift.time, gift.mask, gift.instruction = time, mask, -1
    clock.gives += 1
    clock.soonest = min(clock.soonest, time)


@njit
def finish(m, e, time, signal, instruction):
    """The engine's `instruction` ends in cycle `time`: all its lines have been served."""
    gift, eng = m.gives[m.clock.gives], m.engines[e]
    give(m, time, signal)
    gift.instruction, gift.read, gift.written = instruction, eng.read, eng.written
    eng.read = eng.written = 0


@njit
def deliver(m, done):
    """Give all that is due now."""
    clock = m.clock
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
            record = done[gift.instruction]
            record.end, record.read, record.written = clock.now, gift.read, gift.written
        clock.gives -= 1
        last = m.gives[clock.gives]
        gift.time, gift.mask, gift.instruction = last.time, last.mask, last.instruction
        gift.read, gift.written = last.read, last.written


@njit
def take(m, e, mask):
    """Whether the engine could take all semaphores of `mask` now; else it waits for more."""
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
    eng.cause = -1
    if eng.missing:
        eng.cause = _lowest(eng.missing)
        m.waited[e].cycles[eng.cause] += m.clock.now - eng.at
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
