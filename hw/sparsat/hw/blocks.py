"""The blocks of the accelerator whose cost is known, and how many of each a configuration has.

A block is one line here; `measure` maps it with Yosys at `REFERENCE` and with each of its fields
changed, `resource_model` interpolates between those. What is repeated inside a block (`Parts`) is a
block of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib.wiring import Component

from sparsat.hw import stce
from sparsat.hw.a_side import feeders
from sparsat.hw.array_op import FEEDER_ROWS
from sparsat.hw.b_side import BColumn, BSide
from sparsat.hw.bursts import Bursts
from sparsat.hw.c_side import CColumn, CSide
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
from sparsat.hw.parts import Parts
from sparsat.hw.registers import Registers
from sparsat.hw.row_buffer import RowBuffer
from sparsat.hw.semaphores import ENGINES, Semaphores
from sparsat.hw.sore_lane import SORELane
from sparsat.hw.store import Store
from sparsat.hw.timing import QUEUE
from sparsat.hw.update import Update
from sparsat.hw.update_mask import lanes_like_wuve
from sparsat.hw.vector import VectorEngine
from sparsat.hw.wuve import WUVELane

Make = Callable[[SATConfig, Parts], Component]

REFERENCE = SATConfig(
    name="reference",
    rows=16,
    cols=16,
    b_regs=16,
    a_link=2,
    a_scratch_kib=256,
    b_scratch_kib=256,
    c_scratch_kib=256,
    sore_lanes=8,
    wuve_lanes=8,
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
    "b_scratch_kib": (1024,),
    "c_scratch_kib": (1024,),
    "sore_columns": (1, 4),
    "wuve_lanes": (4, 16),
    "wuve_columns": (1, 4),
    "channels": (1, 2),
    "line_rows": (2, 4, 16),
}
"""Other values of a field that are measured."""

PLACES = ("home", "b", "c", "row")
"""The rest, the side of B, the side of C, the rows of the array."""
CELL = ("m_max", "depth", "a_regs", "b_regs", "a_link")


@dataclass(frozen=True)
class Block:
    """A kind of block.

    Parameters
    ----------
    name : str
    make : callable
        One of them for a configuration; what it repeats it places from the given parts.
    count : callable
        How many a configuration has.
    fields : tuple of str
        What of the configuration its size depends on.
    place : str
        With what it lies together, one of `PLACES`.
    scratch : bool
        Its block memories are a scratchpad's, which `memories` counts.
    """

    name: str
    make: Make
    count: Callable[[SATConfig], int]
    fields: tuple[str, ...] = ()
    place: str = "home"
    scratch: bool = False

    def samples(self) -> list[tuple[str, SATConfig]]:
        """What is measured: the reference (""), and one field changed at a time."""
        varied = [(field, value) for field in self.fields for value in VARIED[field]]
        return [("", REFERENCE), *((field, changed(field, value)) for field, value in varied)]


def changed(field: str, value: int) -> SATConfig:
    """The reference with another value of a field."""
    if field == "line_rows":
        return LINE_ROWS[value]
    if field in ("sore_columns", "wuve_columns"):
        return changed(field.replace("columns", "lanes"), REFERENCE.cols // value)
    return REFERENCE.with_(**{field: value})


LINE_ROWS = {2: changed("channels", 1), 4: changed("channels", 2), 16: changed("cols", 8)}


def value_of(config: SATConfig, field: str) -> float:
    """Of a field; `channels` is what all ports move, `line_rows` are rows of B in a line,
    `sore_columns` and `wuve_columns` those that a lane of SORE has, and of UPDATE's."""
    if field == "channels":
        return config.line_bytes / 64
    if field == "line_rows":
        return config.line_bytes / (2 * config.cols)
    if field == "sore_columns":
        return config.cols / config.sore_lanes
    if field == "wuve_columns":
        return config.cols / config.wuve_lanes
    return getattr(config, field)


def _part(name: str) -> Make:
    return lambda config, _: stce.part_makers(config)[name]()


def _queue(engine: Opcode) -> Make:
    return lambda *_: Queue(shape=queued_layout(engine), depth=QUEUE, refill=True)


def _feeder(config: SATConfig, _: Parts) -> Component:
    return Feeder(config=config, rows=min(config.rows, FEEDER_ROWS))


def _one(_: SATConfig) -> int:
    return 1


def _rows(config: SATConfig) -> int:
    return config.rows


def _cols(config: SATConfig) -> int:
    return config.cols


def _wuve_lanes(config: SATConfig) -> int:
    return config.wuve_lanes


def _lane_of_update(marks: bool) -> Make:
    return lambda config, _: SORELane(config=lanes_like_wuve(config), marks=marks)


BLOCKS = (
    Block("uspe", _part("uspe"), lambda c: c.cells, CELL, place="row"),
    Block("row_edge", _part("row_edge"), _rows, CELL, place="row"),
    Block("col_top", _part("col_top"), _cols, ("m_max",), place="b"),
    Block("col_bottom", _part("col_bottom"), _cols, place="c"),
    Block("conductor", lambda c, _: Conductor(config=c), _one),
    Block("feeder", _feeder, feeders, ("channels",), place="row", scratch=True),
    Block("row_buffer", lambda c, _: RowBuffer(config=c), _rows, ("m_max", "a_link"), place="row"),
    Block(
        "b_side",
        lambda c, p: BSide(config=c, parts=p),
        _one,
        ("cols", "b_scratch_kib"),
        place="b",
    ),
    Block(
        "b_column",
        lambda c, _: BColumn(config=c),
        _cols,
        ("line_rows", "b_scratch_kib"),
        place="b",
        scratch=True,
    ),
    Block(
        "c_side",
        lambda c, p: CSide(config=c, parts=p),
        _one,
        ("cols", "c_scratch_kib"),
        place="c",
    ),
    Block(
        "c_column",
        lambda c, _: CColumn(config=c),
        _cols,
        ("c_scratch_kib",),
        place="c",
        scratch=True,
    ),
    Block("sequencer", lambda c, _: ExecSequencer(config=c), _one),
    Block("fetch", lambda c, _: Fetch(config=c), _one, ("channels",)),
    Block("dispatcher", lambda *_: Dispatcher(), _one),
    Block("semaphores", lambda *_: Semaphores(), _one),
    Block("deadlock", lambda *_: Deadlock(), _one),
    Block("vector", lambda *_: VectorEngine(), _one),
    Block("bursts", lambda c, _: Bursts(config=c), _one, ("channels",)),
    *(Block(f"queue_{each.name.lower()}", _queue(each), _one) for each in ENGINES),
    Block("load_a", lambda c, _: LoadA(config=c), _one, ("channels",)),
    Block(
        "load_b",
        lambda c, p: LoadB(config=c, parts=p),
        _one,
        ("cols", "channels"),
    ),
    Block("store", lambda c, _: Store(config=c), _one, ("cols", "channels")),
    Block(
        "update",
        lambda c, p: Update(config=c, parts=p),
        _one,
        ("cols", "channels", "wuve_lanes"),
    ),
    Block("wuve_lane", lambda *_: WUVELane(), _wuve_lanes),
    Block(
        "sore_lane",
        lambda c, _: SORELane(config=c),
        lambda c: c.sore_lanes,
        ("m_max", "sore_columns"),
    ),
    Block(
        "update_lane",
        _lane_of_update(marks=False),
        lambda c: 2 * c.wuve_lanes,
        ("m_max", "wuve_columns"),
    ),
    Block("mask_lane", _lane_of_update(marks=True), _wuve_lanes, ("m_max", "wuve_columns")),
    Block("control", lambda *_: Control(), _one),
    Block("registers", lambda c, _: Registers(config=c), _one, ("channels",)),
)
