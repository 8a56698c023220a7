"""One program on hardware and simulator: every instruction's cycles, every byte of memory."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.image import OnVector, with_room
from sparsat.hw.isa.instructions import Instruction
from sparsat.hw.tools.sat_model import (
    SOONEST,
    TIMES,
    Memory,
    SatModel,
    SatRun,
    sat_model,
)
from sparsat.sim.functional import Flags
from sparsat.sim.functional import run as run_values
from sparsat.sim.machine import Timing
from sparsat.sim.machine import run as run_cycles
from sparsat.sim.verify.host import KEYS, results, with_host, work
from sparsat.sim.verify.where import element_of

Change = tuple[int, np.ndarray]
"""A VECTOR's `op`, and memory before it XOR memory after it."""
SLACK = 10_000
"""Cycles that hardware may take beyond the simulator before it is stopped."""


@dataclass(frozen=True)
class Difference:
    """The first one of a kind (`what`: cycle, value, golden, error), `where` it is (instruction,
    tensor, element), what was expected there and what the hardware did."""

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
    waveform : Path, optional
        Where the signals of the first program go that differs (FST).
    """

    def __init__(
        self, config: SATConfig, latencies: Sequence[int], waveform: Path | None = None
    ) -> None:
        self.config, self.latencies, self.waveform = config, latencies, waveform
        self.model = sat_model(config)
        self.count, self.recorded = Count(), False

    def run(self, config: SATConfig, program: list[Instruction], memory: np.ndarray) -> Flags:
        """As `functional.run`, by the hardware: `memory` then holds what that has left there.

        In every other program a host brings the operands and takes the results.
        """
        number = self.count.programs
        case = Case(program, memory.copy(), self.latencies[number // 2 % len(self.latencies)])
        if number % 2:
            case = Case(
                with_host(program),
                memory ^ np.uint8(KEYS[1]),
                case.latency,
                SOONEST + number * 37 % 200,
                work,
            )
        flags, got = self.check(case)
        memory[:] = results(case.program, got) if case.on_vector else got
        return flags

    def check(self, case: "Case") -> tuple[Flags, np.ndarray]:
        """Run and compare; the flags, and what the hardware has left in memory."""
        before = len(self.count.differences)
        timing = case.timing(self.config)
        limit = timing.cycles + SLACK
        flags, got = Flags(False), case.memory
        try:
            found, got, changes = case.on_hardware(self.model, limit)
            self._compare(case.program, timing, found)
            expected = case.memory.copy()
            flags = run_values(self.config, case.program, expected, _again(changes), empty=0)
            self._compare_bytes(case, changes, expected, got)
            if found.overflow != flags.overflow:
                self._differ("value", "the overflow flag", flags.overflow, found.overflow)
        except RuntimeError as error:
            self._differ("error", "", "an end", error)
        if len(self.count.differences) > before and self.waveform and not self.recorded:
            model = sat_model(self.config, trace=True)
            with suppress(RuntimeError):  # the one that is reported
                case.on_hardware(model, limit, self.waveform)
            self.recorded = True
        self.count.programs += 1
        self.count.instructions += len(case.program)
        self.count.cycles += timing.cycles
        self.count.bytes += len(got)
        return flags, got

    def _compare(self, program: list[Instruction], timing: Timing, found: SatRun) -> None:
        if found.error:
            each = program[found.error_number].OPCODE.name
            where = f"instruction {found.error_number}, {each}"
            self._differ("error", where, "none", found.error.name)
            return
        for column in TIMES.names or ():
            wrong = np.flatnonzero(found.times[column] != timing.instructions[column])
            if len(wrong):
                number = int(wrong[0])
                where = f"instruction {number}, {program[number].OPCODE.name} {column}"
                expected, got = timing.instructions[column][number], found.times[column][number]
                self._differ("cycle", where, int(expected), int(got))
                return
        if found.cycles != timing.cycles:
            self._differ("cycle", "register CYCLES", timing.cycles, found.cycles)
        for engine, cycles in timing.stalls().items():
            if found.stalls[engine] != cycles:
                self._differ("cycle", f"register STALL_{engine}", cycles, found.stalls[engine])
                return

    def _compare_bytes(
        self, case: "Case", changes: list[Change], expected: np.ndarray, got: np.ndarray
    ) -> None:
        wrong = np.nonzero(expected != got)[0]
        if len(wrong):
            found, dtype, at = element_of(
                self.config, case.program, case.memory, _again(changes), int(wrong[0])
            )
            where = f"{found} (byte {at} of memory, {len(wrong)} bytes differ)"
            values = (each[at : at + dtype.itemsize].view(dtype)[0] for each in (expected, got))
            self._differ("value", where, *values)

    def _differ(self, what: str, where: str, expected: object, got: object) -> None:
        number = self.count.programs
        where = f"program {number}, {where}"
        self.count.differences.append(Difference(what, where, expected, got))


@dataclass(frozen=True)
class Case:
    """A program, memory before it, and the world around the machine: memory's latency, the cycles a
    host takes for a VECTOR, and what it does."""

    program: list[Instruction]
    memory: np.ndarray
    latency: int
    host_cycles: int | None = None
    on_vector: OnVector | None = None

    def timing(self, config: SATConfig) -> Timing:
        return run_cycles(config, self.program, latency=self.latency, host_cycles=self.host_cycles)

    def on_hardware(
        self, model: SatModel, limit: int, trace: Path | None = None
    ) -> tuple[SatRun, np.ndarray, list[Change]]:
        """What the registers hold, memory, what the host has changed there."""
        image, at = with_room(model.config, self.memory, self.program)
        own, changes = image[: len(self.memory)], []

        def on_vector(op: int, _: np.ndarray) -> None:
            before = own.copy()
            if self.on_vector:
                self.on_vector(op, own)
            changes.append((op, before ^ own))

        found = model.run(
            self.program,
            image,
            at=at,
            behaviour=Memory(latency=self.latency),
            on_vector=on_vector,
            host_cycles=self.host_cycles,
            limit=limit,
            trace=trace,
        )
        return found, own, changes


def _again(changes: list[Change]) -> OnVector:
    """A host that does once more what one has done."""
    following = iter(changes)

    def on_vector(op: int, memory: np.ndarray) -> None:
        asked, change = next(following)
        if asked != op:
            raise RuntimeError(f"the host was asked for {asked} instead of {op}")
        memory ^= change

    return on_vector
