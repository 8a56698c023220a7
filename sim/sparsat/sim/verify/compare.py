"""One program on hardware and simulator: every instruction's cycles, every byte of memory."""

from dataclasses import dataclass, field

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Instruction, Opcode
from sparsat.hw.timing import BURST
from sparsat.hw.tools.core_model import CoreRun, core_model
from sparsat.sim.functional import Flags
from sparsat.sim.functional import run as run_values
from sparsat.sim.machine import run as run_cycles

ENGINES = (Opcode.LOAD_A, Opcode.LOAD_B, Opcode.EXEC, Opcode.STORE, Opcode.UPDATE)
"""Whose instructions the hardware runs."""
SLACK = 10_000
"""Cycles that hardware may take beyond the simulator before it is stopped."""


@dataclass(frozen=True)
class Difference:
    """The first one of a kind: `where` (an instruction, a byte of memory), what was expected there
    and what the hardware did."""

    what: str
    where: str
    expected: object
    got: object

    def __str__(self) -> str:
        return f"{self.what}, {self.where}: expected {self.expected}, got {self.got}"


@dataclass
class Count:
    """What was compared so far."""

    programs: int = 0
    instructions: int = 0
    cycles: int = 0
    bytes: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def of_cycles(self) -> int:
        return sum(each.what == "cycle" for each in self.differences)

    @property
    def of_bytes(self) -> int:
        return len(self.differences) - self.of_cycles


class Bench:
    """Runs programs on the hardware of a configuration and compares; adds to `count`.

    Parameters
    ----------
    config : SATConfig
    latencies : sequence of int
        Of memory; each program takes the next one.
    """

    def __init__(self, config: SATConfig, latencies: tuple[int, ...]) -> None:
        self.config, self.latencies = config, latencies
        self.model = core_model(config)
        self.count = Count()

    def run(self, config: SATConfig, program: list[Instruction], memory: np.ndarray) -> Flags:
        """As `functional.run`, by the hardware: `memory` then holds what that has left there."""
        latency = self.latencies[self.count.programs % len(self.latencies)]
        expected = memory.copy()
        flags = run_values(config, program, expected, empty=0)
        timing = run_cycles(config, program, latency=latency)
        image, base = _with_room(config, memory, program)
        found = self.model.run(
            program, image, at=base, latency=latency, limit=timing.cycles + SLACK
        )
        memory[:] = image[: len(memory)]
        self._compare(program, timing.instructions, found)
        self._compare_bytes(expected, memory)
        if found.overflow != flags.overflow:
            self._differ("value", "the overflow flag", flags.overflow, found.overflow)
        self.count.programs += 1
        self.count.instructions += sum(each.OPCODE in ENGINES for each in program)
        self.count.cycles += timing.cycles
        self.count.bytes += len(memory)
        return Flags(found.overflow)

    def _compare(self, program: list[Instruction], timing: np.ndarray, found: CoreRun) -> None:
        if found.error:
            each = program[found.error_number].OPCODE.name
            where = f"instruction {found.error_number}, {each}"
            self._differ("error", where, "none", found.error.name)
            return
        for engine in ENGINES:
            own = [number for number, each in enumerate(program) if each.OPCODE is engine]
            for event, column in (("started", "start"), ("ended", "end")):
                got = found.events[f"{engine.name.lower()}_{event}"]
                for number, cycle in zip(own, got, strict=True):
                    if cycle != timing[column][number]:
                        where = f"instruction {number}, {engine.name} {event}"
                        self._differ("cycle", where, int(timing[column][number]), cycle)
                        return

    def _compare_bytes(self, expected: np.ndarray, got: np.ndarray) -> None:
        wrong = np.nonzero(expected != got)[0]
        if len(wrong):
            first = int(wrong[0])
            where = f"{len(wrong)} bytes of memory, the first at {first}"
            self._differ("value", where, int(expected[first]), int(got[first]))

    def _differ(self, what: str, where: str, expected: object, got: object) -> None:
        number = self.count.programs
        where = f"program {number}, {where}"
        self.count.differences.append(Difference(what, where, expected, got))


def _with_room(
    config: SATConfig, memory: np.ndarray, program: list[Instruction]
) -> tuple[np.ndarray, int]:
    """Memory with room for the program behind it, and the line at which that begins."""
    line = config.line_bytes
    base = -(-len(memory) // (BURST * line)) * BURST
    lines = base + -(-(len(program) + 1) * 256 // line) + BURST
    image = np.zeros(lines * line, np.uint8)
    image[: len(memory)] = memory
    return image, base
