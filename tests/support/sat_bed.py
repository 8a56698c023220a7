"""A card with a program that works, for tests of what goes wrong."""

import functools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

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
from update_cases import random_update

TINY = preset("tiny")
SLOW = TINY.with_(
    name="slow", rows=12, cols=8, axi_bits=128, channels=2, wuve_lanes=2, sore_lanes=8
)
"""Two feeders, the second for four rows; two parts of a square, four words of a row; a line, of two
ports, that is one row of FP32."""
BLOCK = BURST * TINY.line_bytes
ROOM = 20
"""Blocks of memory behind the program: other ones may be longer."""


class Good(NamedTuple):
    """A program that works: memory before and after it, the cycles that it takes."""

    program: tuple[Instruction, ...]
    before: np.ndarray
    after: np.ndarray
    cycles: int


@functools.cache
def good() -> Good:
    """A layer's forward pass, beside an UPDATE that comes first and writes all the while."""
    found: list[tuple[list[Instruction], np.ndarray]] = []

    def keep(config, program, memory):
        found.append((program, memory.copy()))
        functional.run(config, program, memory, empty=0)

    step = step_of(Conv(1, 6, 6, 16, 6, 6, 16, 3, 3, (1, 1), (1, 1)))
    list(check_step(TINY, schedule_step(TINY, step, SCHEDULES["optimal"], (2, 8)), 1, keep))
    layer, *tensors = found[0][0], found[0][1]
    program = [random_update(random.Random(63), TINY, tensors), *layer]
    before = np.concatenate(tensors)
    after = before.copy()
    functional.run(TINY, program, after, empty=0)
    return Good(tuple(program), before, after, run_cycles(TINY, program).cycles)


Kind = TypeVar("Kind", bound=Instruction)


def of(kind: type[Kind]) -> Kind:
    """The one instruction of `good` that is of this kind."""
    (found,) = (each for each in good().program if type(each) is kind)
    return found


class Bed:
    """Memory with the operands of `good`, from line `at` on its program, `ROOM` behind that; a card
    on demand. Of several `copies` of that memory the card uses the first until it is told to
    `move`."""

    def __init__(self, copies: int = 1, **behaviour):
        self.program, self.before, self.after, self.cycles = good()
        image, self.at = with_room(TINY, self.before, self.program)
        memory = np.concatenate([image, np.zeros(ROOM * BLOCK, np.uint8)])
        self.copies = np.tile(memory, (copies, 1))
        self.memory, self.behaviour = self.copies[0], Memory(**behaviour)

    @functools.cached_property
    def card(self) -> Card:
        card = Card(sat_model(TINY), self.copies.reshape(-1), self.behaviour)
        card.memory = self.memory
        return card

    def move(self, copy: int) -> None:
        """To another of the copies, by MEMORY_BASE."""
        self.memory = self.card.memory = self.copies[copy]
        base = self.behaviour.base + copy * len(self.memory)
        self.card.behaviour = replace(self.behaviour, base=base)

    def fails(self, program: bytes | Sequence[Instruction]) -> tuple[Error, int]:
        """Run a program that has to fail; the error, and the instruction."""
        found = self.card.run(program, at=self.at, limit=100_000)
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
        self.memory[:size] = self.before
        found = self.card.run(self.program, at=self.at, **options)
        assert (found.state, found.error) == (State.DONE, Error.NONE)
        np.testing.assert_array_equal(self.memory[:size], self.after)
        if self.behaviour.stall == 0:
            assert found.cycles == self.cycles
        return found
