"""Module `memory_side` in Verilator with an AXI4 memory behind it that checks the protocol."""

import ctypes
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

from sparsat.hw.bursts import FROM_MEMORY, TO_MEMORY, WRITE
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Instruction, Sem
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.memory_side import MemorySide
from sparsat.hw.tools.axi_harness import STREAMS, harness
from sparsat.hw.tools.verilator import build_library
from sparsat.hw.tools.verilog import to_verilog
from sparsat.sim.memory import LATENCY

HERE = Path(__file__).parent
EVENTS = 1 << 18
NEVER = (1 << 64) - 1
READ_DELAY = LATENCY - TO_MEMORY - FROM_MEMORY
WRITE_DELAY = LATENCY - WRITE - FROM_MEMORY
"""Cycles from an address on its channel to its first beat, and from a burst's last beat to its
response: with the machine's own, `LATENCY` from the end of the service to the cycle in which the
last line is in its scratchpad, or the engine told."""


class Kind(IntEnum):
    """Events in the order of the harness."""

    DISPATCHED = 0
    A_STARTED = 1
    B_STARTED = 2
    A_ENDED = 3
    B_ENDED = 4
    S_STARTED = 5
    S_ENDED = 6
    WATCHED_0 = 7
    WATCHED_1 = 8
    A_WRITE = 9
    B_VALUES = 10
    B_INDICES = 11
    WRITTEN = 12
    FAILED = 13


@dataclass
class Stall:
    """Memory and writer that wait at random, with a probability of `often`."""

    often: float = 0.0
    seed: int = 1


def _nothing() -> np.ndarray:
    return np.zeros((0, 0), np.uint8)


@dataclass
class Script:
    """What the engines outside do: semaphores that EXEC gives, by cycle, bursts (line, count) that
    UPDATE writes, with the bytes of all their lines and a bit for each that counts; the `sums` in
    C, [2, rows, cols] float32."""

    sums: np.ndarray
    gifts: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)
    data: np.ndarray = field(default_factory=_nothing)
    strobes: np.ndarray = field(default_factory=_nothing)


class MemorySideModel:
    def __init__(self, config: SATConfig):
        self.config = config
        self.verilog = to_verilog(MemorySide(config=config), "memory_side")
        path = build_library(self.verilog, "memory_side", _harness(config))
        library = ctypes.CDLL(str(path))
        self._run, self._failed = library.run, library.what_failed
        self._run.restype, self._failed.restype = ctypes.c_int64, ctypes.c_char_p

    def run(
        self,
        program: list[Instruction] | bytes,
        memory: np.ndarray,
        script: Script,
        *,
        stall: Stall | None = None,
        at: int = 0,
        failing: int = NEVER,
        watch: tuple[Sem, Sem] = (Sem.A_FULL, Sem.B_FULL),
        limit: int = 400_000,
    ) -> np.ndarray:
        """Events of a run of a program, written to `memory` [lines, line_bytes] from line `at` on.

        Without stalls memory is the simulator's `fixed`. Reading line `failing` fails. EXEC takes
        what it is to `watch` when that is there. RuntimeError where the protocol is broken or the
        program does not end within `limit` cycles.
        """
        code = program if isinstance(program, bytes) else encode_program(program)
        words = np.frombuffer(code, np.uint8)
        memory.reshape(-1)[at * self.config.line_bytes :][: len(words)] = words
        gifts = np.array([*script.gifts, (NEVER, 0)], np.uint64)
        writes = np.array([*script.writes, (0, 0)], np.uint64)
        events = np.zeros(EVENTS, _event(self.config))
        stall = stall or Stall()
        count = self._run(
            _at(memory),
            *_numbers(len(memory), at, len(code) // INSTRUCTION_BYTES),
            _at(gifts),
            *_numbers(len(script.gifts)),
            _at(writes),
            *_numbers(len(script.writes)),
            _at(script.data),
            _at(script.strobes),
            _at(script.sums),
            _at(np.array([1 << sem for sem in watch], np.uint32)),
            *_numbers(READ_DELAY, WRITE_DELAY),
            ctypes.c_uint32(stall.seed),
            ctypes.c_uint32(int(256 * stall.often)),
            *_numbers(failing),
            _at(events),
            *_numbers(EVENTS, limit),
        )
        if count < 0:
            raise RuntimeError(self._failed().decode())
        return events[:count]


def cycles_of(events: np.ndarray, kind: Kind) -> list[int]:
    return [int(cycle) for cycle in events["cycle"][events["kind"] == kind]]


def error_of(events: np.ndarray) -> tuple[Error, int]:
    """The error, and the number of its instruction."""
    last = events[-1]
    assert last["kind"] == Kind.FAILED
    return Error(int(last["value"]) >> 32), int(last["value"]) & 0xFFFFFFFF


def writes_of_a(events: np.ndarray) -> list[tuple[int, int, int]]:
    """(half, line of the half, line of memory) of all writes to A."""
    values = [int(value) for value in events["value"][events["kind"] == Kind.A_WRITE]]
    return [(v >> 63, v >> 32 & (1 << 31) - 1, v & 0xFFFFFFFF) for v in values]


@dataclass
class BChunk:
    """What is written of a chunk: rows of values and of indices, [rows, bytes], and where."""

    half: int
    value_rows: np.ndarray
    values: np.ndarray
    index_rows: np.ndarray
    indices: np.ndarray


def chunks_of_b(events: np.ndarray, cols: int) -> list[BChunk]:
    """The writes to B, cut where they go to the other half."""
    writes = events[(events["kind"] == Kind.B_VALUES) | (events["kind"] == Kind.B_INDICES)]
    halves = (writes["value"] >> np.uint64(63)).astype(int)
    parts = np.split(writes, np.flatnonzero(np.diff(halves)) + 1) if len(writes) else []
    return [
        BChunk(
            int(part["value"][0] >> np.uint64(63)),
            *_rows(part[part["kind"] == Kind.B_VALUES], 2 * cols),
            *_rows(part[part["kind"] == Kind.B_INDICES], cols // 2),
        )
        for part in parts
    ]


def _rows(writes: np.ndarray, row_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Number and bytes of each row that is written."""
    per_line = writes["data"].shape[1] // row_bytes
    data = writes["data"].reshape(-1, per_line, row_bytes)
    rows = np.arange(per_line, dtype=np.uint64)
    counts = writes["mask"][:, None] >> rows & np.uint64(1) == 1
    lines = (writes["value"] & np.uint64((1 << 63) - 1))[:, None]
    return (lines * np.uint64(per_line) + rows)[counts].astype(int), data[counts]


def _event(config: SATConfig) -> np.dtype:
    names = ("cycle", "kind", "value", "mask")
    return np.dtype([*((name, np.uint64) for name in names), ("data", np.uint8, config.line_bytes)])


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _numbers(*values: int) -> list[ctypes.c_uint64]:
    return [ctypes.c_uint64(value) for value in values]


def _harness(config: SATConfig) -> str:
    body = (HERE / "memory_side_harness.cpp").read_text()
    return harness(config, STREAMS, body, C_ROWS=half_rows_c(config), COLS=config.cols)
