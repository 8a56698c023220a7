"""The timed machine: in which cycle each instruction of a program begins and ends.

    timing = run(config, program, memory="ddr4")
    timing.cycles, timing.instructions["end"]

docs/architecture.md says what takes how long. Values are not computed: `functional` does that.
"""

from dataclasses import dataclass

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Instruction, Sem
from sparsat.sim.engines.decoded import Engine, decode
from sparsat.sim.engines.loop import run_machine
from sparsat.sim.engines.state import CHUNK, EMPTY, WAITING, new_state
from sparsat.sim.memory import LATENCY, new_memory

CAUSES = (*(sem.name for sem in Sem), "NO_INSTRUCTION", "MEMORY")
"""What engines wait for, in the order of `Timing.waited`."""


class MachineError(RuntimeError):
    """The program stopped the machine: a deadlock, or a semaphore over its limit."""


@dataclass(frozen=True)
class Timing:
    """What a run showed.

    Parameters
    ----------
    cycles : int
        From the start to the end of the last instruction.
    instructions : np.ndarray
        Structured, [instructions], all int64. Of each: `entered`, `start`, `end`, the cycles in
        which it came into its queue, had its semaphores, and ended; `read` and `written`, lines of
        memory. Of EXECs also where the array's cycles went since the EXEC before was done with it:
        `busy` (slots times period), `a`, `b`, `c` (waited for tokens of a scratchpad),
        `instruction` (none was there), `fill` (the rest: sums that must leave first, filling and
        draining).
    waited : np.ndarray
        Cycles that each `Engine` waited for each of `CAUSES`, [engines, causes]. A wait for several
        semaphores counts for the one that came last.
    """

    cycles: int
    instructions: np.ndarray
    waited: np.ndarray

    def stalls(self) -> dict[str, int]:
        """Cycles that each engine lacked semaphores."""
        cycles = self.waited[:, : len(Sem)].sum(1)
        return {engine.name: int(cycles[engine]) for engine in Engine if engine != Engine.FETCH}


def run(
    config: SATConfig,
    program: list[Instruction],
    memory: str = "fixed",
    latency: int = LATENCY,
    host_cycles: int | None = None,
) -> Timing:
    """Run a program that `validate` would pass, on one of `MEMORIES`, `latency` cycles away.

    A VECTOR moves its lines, or, where `host_cycles` are given, the host takes those for it.
    ValueError for a program or memory that does not fit, MachineError where it cannot go on.
    """
    state = new_state(config, new_memory(memory, config, latency), host_cycles)
    done = run_machine(state, decode(config, program))
    _raise_if_stopped(state[0])
    done["end"][-1] = max(done["start"][-1], done["end"].max())
    return Timing(int(done["end"][-1]), done, state["waited"]["cycles"][0])


def _raise_if_stopped(state: np.void) -> None:
    overflow = int(state["clock"]["overflow"])
    if overflow >= 0:
        raise MachineError(f"SEMAPHORE: {Sem(overflow).name} is given more often than it can count")
    engines = state["engines"]
    if state["front"]["halted"] and (engines["stage"] == EMPTY).all():
        return
    blocked = [
        f"{Engine(e).name} (instruction {engines['instruction'][e]}) waits for "
        + " and ".join(sem.name for sem in Sem if engines["missing"][e] >> sem & 1)
        for e in range(len(engines))
        if engines["stage"][e] in (WAITING, CHUNK)
    ]
    front = state["front"]
    if not front["halted"]:
        queue = Engine(front["engine"]).name
        blocked.append(f"instruction {front['next']} finds the queue of {queue} full")
    raise MachineError("DEADLOCK: " + ", ".join(blocked))
