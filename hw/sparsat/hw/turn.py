"""Words of squares turned over: rows become columns."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.square import Square
from sparsat.hw.transposer import Transposer


class Turn(wiring.Component):
    """Transposes blocks of `cols` × `cols` elements that come, and leave, word by word.

    Parameters
    ----------
    config : SATConfig
    bits : int
        Of an element.

    Members
    -------
    valid : In(1), word : In(bits * wuve_lanes)
        Words of a row come one after another, at most one per cycle.
    o_valid : Out(1), o : Out(bits * wuve_lanes)
        The first word of a block leaves `latency` cycles after its last one has come, the others
        follow one per cycle.
    """

    latency = Transposer.latency + 1

    def __init__(self, *, config: SATConfig, bits: int):
        self.config, self.bits = config, bits
        word = bits * config.wuve_lanes
        super().__init__({"valid": In(1), "word": In(word), "o_valid": Out(1), "o": Out(word)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = Transposer(config=self.config, bits=self.bits)
        last = Square(self.config).row_words - 1
        came, left = Signal(range(last + 1)), Signal(range(last + 1))
        m.d.sync += rows.i.valid.eq(self.valid & (came == last))
        with m.If(self.valid):
            m.d.sync += came.eq(Mux(came == last, 0, came + 1))
            m.d.sync += rows.i.payload.word_select(came, len(self.word)).eq(self.word)
        m.d.comb += [
            self.o_valid.eq(rows.o.valid),
            self.o.eq(rows.o.payload.word_select(left, len(self.o))),
            rows.o.ready.eq(left == last),
        ]
        with m.If(self.o_valid):
            m.d.sync += left.eq(Mux(left == last, 0, left + 1))
        return m
