"""Through the squares of a tensor, and where each one's operand copies begin."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.square import Square
from sparsat.hw.tally import Countdown

ROW = 46
"""Bits of the number of a row of a copy: those that no memory holds are found to be outside."""
COPY_ROWS = StructLayout({"natural": ROW, "turned": ROW})
"""The first rows of a square's copies: of that with groups along the columns of memory's order, and
of the other one."""


class SquareLoops(wiring.Component):
    """Counts squares in the order of memory: blocks of rows, taps, blocks of columns.

    Members
    -------
    begin : In(1), x : In(fields_layout(UPDATE))
        An instruction's squares begin in the next cycle.
    step : In(1)
        Go on to the next square.
    last : Out(3)
        It is the last block of columns; and the last tap, too; and the last of all.
    """

    def __init__(self):
        super().__init__(
            {
                "begin": In(1),
                "x": In(fields_layout(Opcode.UPDATE)),
                "step": In(1),
                "last": Out(3),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x = self.x
        counts = (
            Mux(x.transposed, x.in_blocks, x.out_blocks),
            x.taps,
            Mux(x.transposed, x.out_blocks, x.in_blocks),
        )
        below = Const(1, 1)
        for level, count in enumerate(counts):
            left = Countdown(count.shape(), f"left_{level}")
            with m.If(self.step & below):
                m.d.sync += left.step()
            with m.If(self.begin | (self.step & below & left.last)):
                m.d.sync += left.begin(count)
            m.d.comb += self.last[level].eq(below & left.last)
            below = self.last[level]
        return m


class CopyRows(wiring.Component):
    """Where the copies of each square begin.

    The copy with groups along memory's columns ("natural") has a block of `pitch.natural` rows for
    every `cols` columns: in it come the taps, in these the blocks of rows. The other one is the
    same with rows and columns exchanged.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    x : In(fields_layout(UPDATE)), begin : In(1)
        The instruction, from the cycle after `begin` on.
    kept : Out
        Rows that a part of a square leaves.
    pitch : Out(COPY_ROWS)
        4 cycles after `begin`, as all here.
    beyond : Out(1)
        The tensor is larger than any memory.
    o : Out(stream of COPY_ROWS)
        One for each square.
    """

    def __init__(self, *, config: SATConfig):
        self.config, self.square = config, Square(config)
        super().__init__(
            {
                "x": In(fields_layout(Opcode.UPDATE)),
                "begin": In(1),
                "kept": Out(range(self.square.side + 1)),
                "pitch": Out(COPY_ROWS),
                "beyond": Out(1),
                "o": Out(stream.Signature(COPY_ROWS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x, square = self.x, self.square
        down = Mux(x.transposed, x.out_blocks, x.in_blocks)
        across = Mux(x.transposed, x.in_blocks, x.out_blocks)
        m.d.sync += self.kept.eq((square.side >> 1 >> x.log_m) * x.n)
        tap_rows = Signal(ROW)  # of all blocks of rows
        m.d.sync += tap_rows.eq(down * self.kept)
        blocks = {"natural": down, "turned": across}
        for name, count in blocks.items():
            self._pitch(m, name, count)
        m.submodules.loops = loops = SquareLoops()
        started, going = Signal(4), Signal()
        m.d.sync += started.eq((started << 1) | self.begin)
        m.d.comb += [
            loops.x.eq(x),
            loops.begin.eq(started[-1]),
            self.o.valid.eq(going),
            loops.step.eq(going & self.o.ready),
        ]
        self._natural(m, loops, tap_rows)
        self._turned(m, loops)
        with m.If(loops.begin):
            m.d.sync += going.eq(x.copies)
        with m.Elif(loops.step):
            m.d.sync += going.eq(~loops.last[2])
        return m

    def _pitch(self, m, name, blocks):
        """Kept rows of a block, and as many more as let the next one begin at a line."""
        x, pitch = self.x, self.pitch[name]
        in_blocks, rows = Signal(40, name=f"{name}_blocks"), Signal(ROW, name=f"{name}_rows")
        m.d.sync += [in_blocks.eq(x.taps * blocks), rows.eq(in_blocks * self.kept)]
        dense = x.n == 2 << x.log_m
        line = Mux(dense, rows_of_line(self.config), rows_of_line(self.config, index=True))
        m.d.sync += pitch.eq((rows + (line - 1)) & ~(line - 1))
        with m.If(self.begin):
            m.d.sync += self.beyond.eq(0)
        with m.Elif(in_blocks >> 32 != 0):
            m.d.sync += self.beyond.eq(1)

    def _natural(self, m, loops, tap_rows):
        """A block of columns further; back and a tap further; back and a block of rows further."""
        row = self.o.payload.natural
        tap, block = Signal.like(row), Signal.like(row)
        with m.If(loops.begin):
            m.d.sync += [each.eq(0) for each in (row, tap, block)]
        with m.Elif(loops.step):
            m.d.sync += row.eq(row + self._part_rows("natural"))
            with m.If(loops.last[0]):
                m.d.sync += [row.eq(tap + tap_rows), tap.eq(tap + tap_rows)]
            with m.If(loops.last[1]):
                m.d.sync += [each.eq(block + self.kept) for each in (row, tap, block)]

    def _turned(self, m, loops):
        """Taps and blocks of columns follow each other; a block of rows further, one of columns."""
        row, block = self.o.payload.turned, Signal(ROW)
        beyond = block + self._part_rows("turned")
        with m.If(loops.begin):
            m.d.sync += [row.eq(0), block.eq(0)]
        with m.Elif(loops.step):
            m.d.sync += row.eq(row + self.kept)
            with m.If(loops.last[1]):
                m.d.sync += [row.eq(beyond), block.eq(beyond)]

    def _part_rows(self, name):
        """Rows from a square to the one beside it, where that begins other blocks."""
        return self.pitch[name] << (self.square.parts - 1).bit_length()
