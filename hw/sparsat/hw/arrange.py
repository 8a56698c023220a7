"""From lines to rows of B: through SORE or the transposer."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import answer_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Mode, Opcode
from sparsat.hw.isa.site import most_channels
from sparsat.hw.later import later
from sparsat.hw.line_cut import MARK, LineCut
from sparsat.hw.parts import Parts
from sparsat.hw.sore import SORE
from sparsat.hw.sore_lane import columns_per_lane
from sparsat.hw.tally import turns
from sparsat.hw.transposer import Transposer

INDEX = 4
"""Bits of an index in memory."""
UNITS = 4
"""Groups or blocks on their way, at most."""


class Arrange(wiring.Component):
    """Prunes or transposes the lines of one instruction after the other.

    All units (groups, or blocks of tokens) of an instruction have one size, so that SORE and the
    transposer never make their input wait.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        Of `SORE`, which says what is without.

    Members
    -------
    x, line_valid, line, passed, failed
        See `LineCut`.
    row_valid : Out(1), values, indices : Out
        A row of B in order, its first column lowest; indices only with PRUNE.
    mark : Out(MARK)
        It is the last of its chunk, of the instruction.
    """

    def __init__(self, *, config: SATConfig, parts: Parts | None = None):
        self.config, self._parts = config, parts
        super().__init__(
            {
                "x": In(fields_layout(Opcode.LOAD_B)),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
                "passed": Out(1),
                "failed": Out(1),
                "row_valid": Out(1),
                "values": Out(config.fmt.width * config.cols),
                "indices": Out(INDEX * config.cols),
                "mark": Out(MARK),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, x = self.config, self.x
        most_parts = most_channels(config) // config.cols
        m.submodules.cut = cut = LineCut(config=config)
        m.submodules.sore = sore = SORE(config=config, parts=self._parts)
        m.submodules.transposer = transposer = Transposer(config=config, most_parts=most_parts)
        prune = x.mode == Mode.PRUNE
        words = sore.i.payload
        m.d.comb += [
            cut.x.eq(x),
            cut.line_valid.eq(self.line_valid),
            cut.line.eq(self.line),
            self.passed.eq(cut.passed),
            self.failed.eq(cut.failed),
            sore.i.valid.eq(cut.valid & prune),
            words["values"].eq(cut.piece.word_select(cut.word, len(words["values"]))),
            words["n"].eq(x.n),
            words["log_m"].eq(x.log_m),
            transposer.more.eq(later(m, x.channels // config.cols - 1)),
            *(sore.o.ready.eq(1), transposer.o.ready.eq(1)),
        ]
        m.d.sync += [
            transposer.i.valid.eq(cut.valid & ~prune),
            transposer.i.payload.eq(cut.piece),
        ]
        came = self._rows(m, prune, sore.o, transposer.o)
        self._marks(m, cut, came, Mux(prune, x.n, x.channels))
        return m

    def _rows(self, m, prune, kept, column):
        """Put rows together from words of SORE, or take columns. Whether one is complete."""
        words = columns_per_lane(self.config)
        word, came = Signal(range(words)), Signal()
        m.d.comb += came.eq(Mux(prune, kept.valid & (word == words - 1), column.valid))
        with m.If(kept.valid):
            m.d.sync += word.eq(Mux(came, 0, word + 1))
        bits, indices = self.config.index_bits, kept.payload["indices"]
        each = [indices.word_select(n, bits) for n in range(self.config.sore_lanes)]
        wide = Cat(Cat(index, Const(0, INDEX))[:INDEX] for index in each)
        m.d.sync += self.row_valid.eq(came)
        with m.If(kept.valid):
            m.d.sync += [
                self.values.eq(Cat(self.values, kept.payload["values"])[-len(self.values) :]),
                self.indices.eq(Cat(self.indices, wide)[-len(self.indices) :]),
            ]
        with m.If(column.valid):
            m.d.sync += self.values.eq(column.payload)
        return came

    def _marks(self, m, cut, came, unit_rows):
        """A unit's last row gets the mark of its last piece."""
        m.submodules.marks = marks = Queue(shape=MARK, depth=UNITS)
        last_row, last = turns(m, came, unit_rows, "row"), Signal()
        m.d.comb += [
            marks.i.valid.eq(cut.unit_ends),
            marks.i.payload.eq(cut.mark),
            last.eq(came & last_row),
            marks.o.ready.eq(last),
        ]
        m.d.sync += self.mark.eq(Mux(last, marks.o.payload, 0))
