"""The array's edge: what stands before a row, above a column and below it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.float.layouts import ACC_LAYOUT
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.float.unpack import ToCol, ToRow
from sparsat.hw.row_head import RowHead
from sparsat.hw.uspe import col_link, row_link


class RowEdge(wiring.Component):
    """A row's head and the unpackers of its operands.

    Members
    -------
    op, slot, slot_valid, slot_out, slot_out_valid, north, south, a_ready, c_ready, ctl, done
        As in `RowHead`.
    words : In(fmt.width * a_link)
        Values of A, the first lowest, taken when `a_ready` is high.
    a : Out(row_link(config))
        2 cycles later.
    o_valid : Out(1)
        A sum of this row's column 0 leaves the array, if this is the last row, in
        `SEND_TO_PACKED` cycles.
    """

    def __init__(self, *, config: SATConfig, top: bool):
        self.config, self.top = config, top
        own = {
            "words": In(config.fmt.width * config.a_link),
            "a": Out(row_link(config)),
            "o_valid": Out(1),
        }
        super().__init__(RowHead.ports(config) | own)

    def elaborate(self, platform):
        m = Module()
        m.submodules.head = head = RowHead(config=self.config, top=self.top)
        for name, member in RowHead.ports(self.config).items():
            ours, its = getattr(self, name), getattr(head, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        for v in range(self.config.a_link):
            m.submodules[f"to_row_{v}"] = to_row = ToRow(fmt=self.config.fmt)
            m.d.comb += to_row.i.eq(self.words.word_select(v, self.config.fmt.width))
            m.d.comb += self.a[f"v{v}"].eq(to_row.o)
        m.d.comb += self.o_valid.eq(head.south.valid & head.south.out)
        return m


SEND_TO_PACKED = 2 + StoreAccumulator.latency
"""Cycles from a head's `south` to the packed sum of column 0."""


def col_word(config: SATConfig) -> StructLayout:
    """What a column takes: a value of B and its index within the group (0 where n = m)."""
    return StructLayout({"value": config.fmt.width, "index": config.index_bits})


class ColTop(wiring.Component):
    """Unpackers above a column.

    Members
    -------
    word : In(col_word(config))
    b : Out(col_link(config)), 2 cycles later
    sum : In(32), binary32
    c : Out(ACC_LAYOUT), 1 cycle later
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "word": In(col_word(config)),
                "b": Out(col_link(config)),
                "sum": In(32),
                "c": Out(ACC_LAYOUT),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.to_col = to_col = ToCol(fmt=self.config.fmt)
        m.submodules.load = load = LoadAccumulator()
        index = self.word.index
        for _ in range(ToCol.latency):
            later = Signal.like(index)
            m.d.sync += later.eq(index)
            index = later
        m.d.comb += [
            to_col.i.eq(self.word.value),
            self.b.value.eq(to_col.o),
            self.b.index.eq(index),
            load.i.eq(self.sum),
            self.c.eq(load.o),
        ]
        return m
