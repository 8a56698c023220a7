"""The accelerator in Verilator, with an AXI4 memory behind it that checks the protocol."""

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np

from sparsat.hw.bursts import FROM_MEMORY, TO_MEMORY, WRITE
from sparsat.hw.config import SATConfig
from sparsat.hw.core import RUNNERS, Core, part_makers
from sparsat.hw.emit import verilog_with
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Instruction
from sparsat.hw.parts import Parts
from sparsat.hw.tools.axi_harness import CPP, harness
from sparsat.hw.tools.verilator import build_library

EVENT = np.dtype([("cycle", np.uint64), ("kind", np.uint64)])
NEVER = (1 << 64) - 1
EVENTS = (
    "dispatched",
    *(f"{engine.name.lower()}_{port}" for engine in RUNNERS for port in ("started", "ended")),
)
"""Ports whose cycles are recorded."""


class _Options(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("program", "instructions", "read_delay")),
        *((name, ctypes.c_uint64) for name in ("write_delay", "failing", "limit")),
        *((name, ctypes.c_uint32) for name in ("seed", "stall")),
    )


@dataclass(frozen=True)
class CoreRun:
    """What a run showed: cycles from the start on, the first error and its instruction, whether a
    gradient overflowed, and the cycles of each of `EVENTS`."""

    cycles: int
    error: Error
    error_number: int
    overflow: bool
    events: dict[str, list[int]]


class CoreModel:
    """Module `core` of a configuration, compiled."""

    def __init__(self, config: SATConfig):
        self.config = config
        parts = Parts(part_makers(config), once=True)
        self.verilog = verilog_with(parts, Core(config=config, parts=parts), "core")
        repeated = tuple(name for name, _ in parts.modules())
        path = build_library(self.verilog, "core", _harness(config), repeated)
        library = ctypes.CDLL(str(path))
        self._run, self._failed = library.run, library.what_failed
        self._run.restype, self._failed.restype = ctypes.c_int64, ctypes.c_char_p

    def run(
        self,
        program: list[Instruction] | bytes,
        memory: np.ndarray,
        *,
        at: int,
        latency: int,
        stall: float = 0.0,
        seed: int = 1,
        failing: int = NEVER,
        limit: int = 2_000_000,
    ) -> CoreRun:
        """Run a program, written to the bytes of `memory` from line `at` on.

        Without stalls memory is the simulator's `fixed`, with that latency. Reading line `failing`
        fails. RuntimeError where the protocol is broken or it does not end within `limit` cycles.
        """
        code = program if isinstance(program, bytes) else encode_program(program)
        line = self.config.line_bytes
        memory[at * line :][: len(code)] = np.frombuffer(code, np.uint8)
        options = _Options(
            program=at,
            instructions=len(code) // INSTRUCTION_BYTES,
            read_delay=latency - TO_MEMORY - FROM_MEMORY,
            write_delay=latency - WRITE - FROM_MEMORY,
            failing=failing,
            limit=limit,
            seed=seed,
            stall=int(256 * stall),
        )
        events = np.zeros((len(code) // INSTRUCTION_BYTES + 1) * 4, EVENT)
        ended = np.zeros(4, np.uint64)
        count = self._run(
            memory.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(len(memory) // line),
            ctypes.byref(options),
            events.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(len(events)),
            ended.ctypes.data_as(ctypes.c_void_p),
        )
        if count < 0:
            raise RuntimeError(self._failed().decode())
        found = events[:count]
        cycles = {
            name: found["cycle"][found["kind"] == kind].astype(int).tolist()
            for kind, name in enumerate(EVENTS)
        }
        end, error, number, overflow = map(int, ended)
        return CoreRun(end, Error(error), number, bool(overflow), cycles)


@cache
def core_model(config: SATConfig) -> CoreModel:
    """One model of each configuration: its Verilog takes seconds to generate."""
    return CoreModel(config)


def _harness(config: SATConfig) -> str:
    logs = "\n            ".join(f"log(top->{name});" for name in EVENTS)
    body = (CPP / "core_harness.cpp").read_text()
    return harness(config, body.replace("EVENTS", logs))
