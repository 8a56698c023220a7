"""The accelerator in Verilator, as a card: memory behind its ports, a host at its registers.

    model = sat_model(preset("tiny"))
    found = model.run(program, memory, at=0, on_vector=host)

The memory checks the rules of AXI4; without stalls it serves as the simulator's `fixed`.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sparsat.hw.bursts import FROM_MEMORY, TO_MEMORY, WRITE
from sparsat.hw.config import SATConfig
from sparsat.hw.core import part_makers
from sparsat.hw.emit import sat_verilog
from sparsat.hw.host import Host
from sparsat.hw.image import OnVector
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Instruction, Opcode
from sparsat.hw.register_map import MOST_CHANNELS, Control, Interrupt, State, Status
from sparsat.hw.sat import EVENTS
from sparsat.hw.timing import BURST
from sparsat.hw.tools.axi_harness import CPP, PINS, harness
from sparsat.hw.tools.verilator import build_library

EVENT = np.dtype([("cycle", np.int64), ("kind", np.uint64)])
TIMES = np.dtype([(name, np.int64) for name in ("entered", "start", "end")])
ACKNOWLEDGE = 2
"""Cycles from writing CONTROL to what that does."""
APART = (1 << 36) + (3 << 12)
"""Bytes from where one port's memory begins to where the next one's does."""
SOONEST = 40
"""Cycles that the host takes for a VECTOR, at least."""


class _Options(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("read_delay", "write_delay")),
        *((name, ctypes.c_uint64) for name in ("fail_from", "fail_to", "response")),
        ("bases", ctypes.c_uint64 * MOST_CHANNELS),
        *((name, ctypes.c_uint32) for name in ("seed", "stall")),
    )


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How memory and host behave.

    Parameters
    ----------
    latency : int
        Cycles from the end of a burst's service until its lines have arrived, or are safe.
    stall : float
        With this probability everyone outside the machine waits in a given cycle, at random by
        `seed`.
    failing : range
        Lines that are answered with `response`.
    base : int
        Where memory begins behind port 0; `bases` are those of all ports.
    """

    latency: int = 60
    stall: float = 0.0
    seed: int = 1
    failing: range = range(0)
    response: int = 2
    base: int = 0

    @property
    def bases(self) -> list[int]:
        return [self.base + port * APART for port in range(MOST_CHANNELS)]


@dataclass(frozen=True)
class SatRun:
    """What a program left in the registers.

    `times` [instructions] of TIMES: the cycles in which each instruction came into its queue, had
    its semaphores, and ended; -1 for what did not happen.
    """

    state: State
    cycles: int
    error: Error
    error_number: int
    overflow: bool
    stalls: dict[str, int]
    times: np.ndarray


class SatModel:
    """Module `sat` of a configuration, compiled; with `trace`, so that it can write waveforms."""

    def __init__(self, config: SATConfig, *, trace: bool = False):
        self.config = config
        path = build_library(
            sat_verilog(config), "sat", _harness(config), tuple(part_makers(config)), trace=trace
        )
        self.library = library = ctypes.CDLL(str(path))
        library.make.restype = library.events.restype = ctypes.c_void_p
        library.what_failed.restype = ctypes.c_char_p
        for name in ("write_register", "read_register", "wait", "idle", "program_cycle"):
            getattr(library, name).restype = ctypes.c_int64
        library.event_count.restype = ctypes.c_uint64

    def run(
        self,
        program: Sequence[Instruction] | bytes,
        memory: np.ndarray,
        *,
        at: int,
        behaviour: Memory | None = None,
        on_vector: OnVector | None = None,
        host_cycles: int | None = None,
        limit: int = 2_000_000,
        trace: Path | None = None,
    ) -> SatRun:
        """`Card.run` on a card that has just been switched on."""
        with Card(self, memory, behaviour, trace) as card:
            return card.run(
                program, at=at, on_vector=on_vector, host_cycles=host_cycles, limit=limit
            )


@cache
def sat_model(config: SATConfig, *, trace: bool = False) -> SatModel:
    """One model of each configuration: its Verilog takes seconds to generate."""
    return SatModel(config, trace=trace)


class Card(Host):
    """A card that has just been switched on.

    Parameters
    ----------
    model : SatModel
    memory : np.ndarray
        uint8 [bytes], a multiple of `BURST` lines: the machine reads it and writes it.
    behaviour : Memory
    trace : Path, optional
        Where the waveform goes, if the model can write one.
    """

    def __init__(
        self,
        model: SatModel,
        memory: np.ndarray,
        behaviour: Memory | None = None,
        trace: Path | None = None,
    ):
        unit = BURST * model.config.line_bytes
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise TypeError(f"memory is {memory.dtype} {memory.shape}, it must be uint8 [bytes]")
        if len(memory) % unit:
            raise ValueError(f"memory has {len(memory)} bytes, it must be a multiple of {unit}")
        super().__init__(model.config)
        self.memory, self._library = memory, model.library
        self.behaviour = behaviour or Memory()
        self._card = ctypes.c_void_p(
            self._library.make(
                memory.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_uint64(len(memory) // model.config.line_bytes),
                ctypes.byref(_options(self.behaviour)),
                str(trace).encode() if trace else None,
            )
        )

    def __enter__(self) -> "Card":
        return self

    def __exit__(self, *_: object) -> None:
        self._library.unmake(self._card)

    def write_word(self, offset: int, value: int, strobe: int = 15) -> int:
        """Write 32 bits at a byte offset; the response."""
        return self._checked(self._library.write_register(self._card, offset, value, strobe))

    def read_word(self, offset: int) -> tuple[int, int]:
        """The 32 bits at a byte offset, and the response."""
        value = ctypes.c_uint32()
        found = self._library.read_register(self._card, offset, ctypes.byref(value))
        return value.value, self._checked(found)

    def get_word(self, offset: int) -> int:
        return self.read_word(offset)[0]

    def set_word(self, offset: int, value: int) -> None:
        self.write_word(offset, value)

    def wait(self, cycles: int) -> bool:
        """Let so many cycles pass, or fewer until there is an interrupt; whether there is."""
        return bool(self._checked(self._library.wait(self._card, ctypes.c_uint64(cycles))))

    def idle(self, cycles: int) -> None:
        self._checked(self._library.idle(self._card, ctypes.c_uint64(cycles)))

    def run(
        self,
        program: Sequence[Instruction] | bytes,
        *,
        at: int,
        on_vector: OnVector | None = None,
        host_cycles: int | None = None,
        limit: int = 2_000_000,
    ) -> SatRun:
        """Run a program, which is written to the bytes of memory from line `at` on.

        A VECTOR takes `host_cycles`, or as long as it takes. RuntimeError where a rule of AXI is
        broken, or the program does not end within `limit` cycles.
        """
        self.begin(program, at=at)
        while True:
            before = self._cycle()
            if not self.wait(limit):
                raise RuntimeError(f"not done after {self._cycle()} cycles")
            limit -= self._cycle() - before
            if self.pending() & Interrupt.END:
                return self.result(program)
            self._vector(on_vector, host_cycles)

    def begin(self, program: Sequence[Instruction] | bytes, *, at: int) -> None:
        """Write the program to memory, and start it."""
        code = _code(program)
        start = at * self.config.line_bytes
        self.memory[start : start + len(code)] = np.frombuffer(code, np.uint8)
        bases = self.behaviour.bases[: self.config.channels]
        self.start(start, len(code) // INSTRUCTION_BYTES, len(self.memory), bases)

    def result(self, program: Sequence[Instruction] | bytes) -> SatRun:
        """What the registers hold, and the times of the last program."""
        status = self.read("STATUS")
        return SatRun(
            State(status & 7),
            self.read("CYCLES"),
            Error(self.read("ERROR")),
            self.read("ERROR_INSTRUCTION"),
            bool(status & Status.OVERFLOW),
            self.stalls(),
            _times(_opcodes(_code(program)), self._events()),
        )

    def _vector(self, on_vector: OnVector | None, host_cycles: int | None) -> None:
        """Do what VECTOR asks for, and say so."""
        op, started = self.read("VECTOR_OP"), self._events()[EVENTS.index("vector_started")][-1]
        if on_vector is not None:
            on_vector(op, self.memory)
        if host_cycles is not None:
            wait = started + host_cycles - ACKNOWLEDGE - self._cycle()
            if wait < 0:
                raise ValueError(f"host_cycles is {host_cycles}, it must be at least {SOONEST}")
            self.idle(wait)
        self.write("CONTROL", Control.ACKNOWLEDGE)

    def _cycle(self) -> int:
        return int(self._library.program_cycle(self._card))

    def _events(self) -> dict[int, np.ndarray]:
        """Cycles of each kind, in order."""
        count = self._library.event_count(self._card)
        size = count * EVENT.itemsize
        data = ctypes.string_at(self._library.events(self._card), size) if count else b""
        found = np.frombuffer(data, EVENT)
        return {kind: found["cycle"][found["kind"] == kind] for kind in range(len(EVENTS))}

    def _checked(self, outcome: int) -> int:
        if outcome < 0:
            raise RuntimeError(self._library.what_failed().decode())
        return outcome


def _code(program: Sequence[Instruction] | bytes) -> bytes:
    return program if isinstance(program, bytes) else encode_program(program)


def _opcodes(code: bytes) -> np.ndarray:
    return np.frombuffer(code, np.uint8)[::INSTRUCTION_BYTES]


def _times(opcodes: np.ndarray, events: dict[int, np.ndarray]) -> np.ndarray:
    """Engines begin and end instructions in their order."""
    times = np.full(len(opcodes), -1, TIMES)
    entered = events[EVENTS.index("dispatched")]
    times["entered"][: len(entered)] = entered
    for engine in Opcode:
        own = np.flatnonzero(opcodes == engine)
        for column, event in (("start", "started"), ("end", "ended")):
            name = f"{engine.name.lower()}_{event}"
            if name in EVENTS:
                cycles = events[EVENTS.index(name)]
                times[column][own[: len(cycles)]] = cycles
    halts = np.flatnonzero(opcodes == Opcode.HALT)
    times["start"][halts] = times["entered"][halts]
    for halt in halts:
        times["end"][halt] = max(times["start"][halt], times["end"].max())
    return times


def _options(memory: Memory) -> _Options:
    return _Options(
        read_delay=memory.latency - TO_MEMORY - FROM_MEMORY,
        write_delay=memory.latency - WRITE - FROM_MEMORY,
        fail_from=memory.failing.start,
        fail_to=memory.failing.stop,
        response=memory.response,
        bases=(ctypes.c_uint64 * MOST_CHANNELS)(*memory.bases),
        seed=memory.seed,
        stall=int(256 * memory.stall),
    )


def _harness(config: SATConfig) -> str:
    return harness(config, PINS, (CPP / "sat_harness.cpp").read_text())
