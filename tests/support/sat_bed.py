"""A card with a program that works, for tests of what goes wrong."""

import functools

import numpy as np

from sparsat.dataflow.ir import Conv
from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.hw.config import preset
from sparsat.hw.image import with_room
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Instruction
from sparsat.hw.register_map import Control, State
from sparsat.hw.timing import BURST
from sparsat.hw.tools.sat_model import Card, Memory, SatRun, sat_model
from sparsat.sim import functional
from sparsat.sim.machine import run as run_cycles
from sparsat.sim.values import check_step
from sparsat.sim.verify.layers import step_of

TINY = preset("tiny")
BLOCK = BURST * TINY.line_bytes
ROOM = 20
"""Blocks of memory behind the program: other ones may be longer."""


@functools.cache
def good() -> tuple[tuple[Instruction, ...], bytes, bytes, int]:
    """A layer's forward pass: program, memory before and after it, cycles."""
    found = []

    def keep(config, program, memory):
        before = memory.copy()
        functional.run(config, program, memory, empty=0)
        cycles = run_cycles(config, program).cycles
        found.append((tuple(program), before.tobytes(), memory.tobytes(), cycles))

    step = step_of(Conv(1, 6, 6, 16, 6, 6, 16, 3, 3, (1, 1), (1, 1)))
    list(check_step(TINY, schedule_step(TINY, step, SCHEDULES["optimal"], (2, 8)), 1, keep))
    return found[0]


class Bed:
    """Memory with the operands of `good`, from line `at` on its program, `ROOM` behind that; a card
    on demand."""

    def __init__(self, **behaviour):
        self.program, self.before, self.after, self.cycles = good()
        image, self.at = with_room(TINY, np.frombuffer(self.before, np.uint8), self.program)
        self.memory = np.concatenate([image, np.zeros(ROOM * BLOCK, np.uint8)])
        self.behaviour = Memory(**behaviour)

    @functools.cached_property
    def card(self) -> Card:
        return Card(sat_model(TINY), self.memory, self.behaviour)

    def fails(self, code: bytes) -> tuple[Error, int]:
        """Run a program that has to fail; the error, and the instruction."""
        found = self.card.run(code, at=self.at, limit=50_000)
        assert found.state is State.ERROR
        return found.error, found.error_number

    def reset(self) -> None:
        self.card.write("CONTROL", Control.RESET)
        for _ in range(2000):
            if self.card.state() is State.IDLE:
                return
        raise AssertionError("the machine does not become idle")

    def works(self, **options) -> SatRun:
        """`good` leaves the right bytes, in the right time unless memory is not `fixed`."""
        size = len(self.after)
        self.memory[:size] = np.frombuffer(self.before, np.uint8)
        found = self.card.run(self.program, at=self.at, **options)
        assert (found.state, found.error) == (State.DONE, Error.NONE)
        assert self.memory[:size].tobytes() == self.after
        if self.behaviour.stall == 0:
            assert found.cycles == self.cycles
        return found
