"""The blocks of the accelerator whose cost is known, and how many of each a configuration has.

A block is one line here; `measure` maps it with Yosys at `REFERENCE` and with each of its fields
changed, `resource_model` interpolates between those.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib.wiring import Component

from sparsat.hw import stce
from sparsat.hw.a_side import feeders
from sparsat.hw.array_op import FEEDER_ROWS
from sparsat.hw.b_side import BColumn
from sparsat.hw.b_walk import BWalk
from sparsat.hw.bursts import Bursts
from sparsat.hw.c_side import CColumn
from sparsat.hw.c_walk import CWalk
from sparsat.hw.conductor import Conductor
from sparsat.hw.config import SATConfig
from sparsat.hw.control import Control
from sparsat.hw.deadlock import Deadlock
from sparsat.hw.dispatch import Dispatcher
from sparsat.hw.exec_sequencer import ExecSequencer
from sparsat.hw.feeder import Feeder
from sparsat.hw.fetch import Fetch
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import queued_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load import LoadA
from sparsat.hw.load_b import LoadB
from sparsat.hw.registers import Registers
from sparsat.hw.row_buffer import RowBuffer
from sparsat.hw.semaphores import ENGINES, Semaphores
from sparsat.hw.store import Store
from sparsat.hw.timing import QUEUE
from sparsat.hw.vector import VectorEngine
from sparsat.hw.wuve import WUVELane

REFERENCE = SATConfig(
    name="reference",
    rows=16,
    cols=16,
    b_regs=16,
    a_link=2,
    a_scratch_kib=256,
    b_scratch_kib=256,
    c_scratch_kib=256,
    sore_lanes=16,
    wuve_lanes=16,
    channels=4,
)
"""`vcu1525` with fewer cells, and with scratchpads that do not take Yosys too long: the memories
themselves are counted by `memories`."""

VARIED: dict[str, tuple[int, ...]] = {
    "cols": (8, 32),
    "m_max": (8,),
    "depth": (8, 32),
    "a_regs": (16, 64),
    "b_regs": (32, 64),
    "a_link": (1,),
    "a_scratch_kib": (1024,),
    "b_scratch_kib": (1024,),
    "c_scratch_kib": (1024,),
    "sore_lanes": (8,),
    "channels": (1, 2),
}
"""Other values of a field that are measured."""

UNCONNECTED = ("wuve_lane",)
"""Blocks that module `sat` does not have yet; designs are to have room for them."""
CELL = ("m_max", "depth", "a_regs", "b_regs", "a_link")


@dataclass(frozen=True)
class Block:
    """A kind of block.

    Parameters
    ----------
    name : str
    make : callable
        One of them for a configuration.
    count : callable
        How many a configuration has.
    fields : tuple of str
        What of the configuration its size depends on.
    by_row : bool
        It goes where the array's rows go.
    scratch : bool
        Its block memories are a scratchpad's, which `memories` counts.
    """

    name: str
    make: Callable[[SATConfig], Component]
    count: Callable[[SATConfig], int]
    fields: tuple[str, ...] = ()
    by_row: bool = False
    scratch: bool = False

    def samples(self) -> list[tuple[str, SATConfig]]:
        """What is measured: the reference (""), and one field changed at a time."""
        varied = [(field, value) for field in self.fields for value in VARIED[field]]
        return [("", REFERENCE), *((field, changed(field, value)) for field, value in varied)]


def changed(field: str, value: int) -> SATConfig:
    """The reference with another value of a field."""
    changes = {field: value}
    if field == "cols":
        changes["sore_lanes"] = min(value, REFERENCE.sore_lanes)
    return REFERENCE.with_(**changes)


def _part(name: str) -> Callable[[SATConfig], Component]:
    return lambda config: stce.part_makers(config)[name]()


def _queue(engine: Opcode) -> Callable[[SATConfig], Component]:
    return lambda _: Queue(shape=queued_layout(engine), depth=QUEUE, refill=True)


def _feeder(config: SATConfig) -> Component:
    return Feeder(config=config, rows=min(config.rows, FEEDER_ROWS))


def _one(_: SATConfig) -> int:
    return 1


def _two(_: SATConfig) -> int:
    return 2


BLOCKS = (
    Block("uspe", _part("uspe"), lambda c: c.cells, CELL, by_row=True),
    Block("row_edge", _part("row_edge"), lambda c: c.rows, CELL, by_row=True),
    Block("col_top", _part("col_top"), lambda c: c.cols, ("m_max",)),
    Block("col_bottom", _part("col_bottom"), lambda c: c.cols),
    Block("conductor", lambda c: Conductor(config=c), _one),
    Block("feeder", _feeder, feeders, ("channels", "a_scratch_kib"), by_row=True, scratch=True),
    Block(
        "row_buffer",
        lambda c: RowBuffer(config=c),
        lambda c: c.rows,
        ("m_max", "a_link"),
        by_row=True,
    ),
    Block("b_walk", lambda c: BWalk(config=c), _one, ("cols", "b_scratch_kib")),
    Block(
        "b_column",
        lambda c: BColumn(config=c),
        lambda c: c.cols,
        ("cols", "channels", "b_scratch_kib"),
        scratch=True,
    ),
    Block("c_walk", lambda c: CWalk(config=c, ahead=True), _two, ("cols", "c_scratch_kib")),
    Block(
        "c_column", lambda c: CColumn(config=c), lambda c: c.cols, ("c_scratch_kib",), scratch=True
    ),
    Block("sequencer", lambda c: ExecSequencer(config=c), _one),
    Block("fetch", lambda c: Fetch(config=c), _one, ("channels",)),
    Block("dispatcher", lambda _: Dispatcher(), _one),
    Block("semaphores", lambda _: Semaphores(), _one),
    Block("deadlock", lambda _: Deadlock(), _one),
    Block("vector", lambda _: VectorEngine(), _one),
    Block("bursts", lambda c: Bursts(config=c), _one, ("channels",)),
    *(Block(f"queue_{each.name.lower()}", _queue(each), _one) for each in ENGINES),
    Block("load_a", lambda c: LoadA(config=c), _one, ("channels",)),
    Block("load_b", lambda c: LoadB(config=c), _one, ("cols", "channels", "sore_lanes")),
    Block("store", lambda c: Store(config=c), _one, ("cols", "channels")),
    Block("control", lambda _: Control(), _one),
    Block("registers", lambda c: Registers(config=c), _one, ("channels",)),
    Block("wuve_lane", lambda _: WUVELane(), lambda c: c.wuve_lanes),
)
