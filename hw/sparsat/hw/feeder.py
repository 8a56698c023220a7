"""A feeder: its copy of the A scratchpad, and which words of it go to which of its rows."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.a_walk import AWalk, taking_layout
from sparsat.hw.array_op import FEEDER_ROWS, ROW_WORDS, WORD, m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.digits import Split
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.isa.site import half_values_a
from sparsat.hw.later import later
from sparsat.hw.load_walk import half_lines

READ = 2
"""Cycles of the copy from address to word."""


def line_ports(config: SATConfig) -> dict[str, wiring.Member]:
    """A line from LOAD_A, to a half of A."""
    return {
        "write": In(1),
        "half": In(1),
        "line": In(range(half_lines(config, Opcode.LOAD_A))),
        "data": In(8 * config.line_bytes),
    }


class Feeder(wiring.Component):
    """Reads a word per cycle for `rows` rows of the array.

    Parameters
    ----------
    config : SATConfig
    rows : int
        At most `FEEDER_ROWS`.

    Members
    -------
    number : In(5)
        Of the feeder, a constant.
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    write, half, line, data : In
        See `line_ports`.
    rows : Out(FEEDER_ROWS), word : Out, taking : Out(taking_layout)
        A word for these rows.
    freed : In(5)
        Words that the last row is done with: it is the last one to be.
    outside : Out(1)
        An address does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, rows: int):
        self.config, self.rows_ = config, rows
        super().__init__(
            {
                "number": In(5),
                **told_ports(),
                **line_ports(config),
                "rows": Out(FEEDER_ROWS),
                "word": Out(WORD * config.fmt.width),
                "taking": Out(taking_layout()),
                "freed": In(5),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = AWalk(config=self.config, rows=self.rows_)
        tell(m, self, walk)
        self._steps(m, walk)
        self._room(m, walk)
        m.d.comb += [
            self.outside.eq(walk.outside),
            self.word.eq(self._read(m, walk)),
            self.rows.eq(later(m, Mux(walk.valid, walk.rows, 0), READ)),
            self.taking.eq(later(m, walk.taking, READ)),
        ]
        return m

    def _steps(self, m, walk):
        """Where the feeder's rows begin in the inner counter, and its steps from tile to tile."""
        x = self.x
        wide = x.ws ^ x.a_mn
        entries = Mux(wide, 1, Mux(x.a_mn, m_of(x.log_m), x.ir))[:5]
        counts = Mux(x.ws, x.k0_count, x.r0_count), Mux(x.ws, x.k1_count, x.r1_count)
        of_feeder, of_tile = Signal(12), Signal(12)
        m.d.sync += [
            of_feeder.eq(self.number * FEEDER_ROWS * entries),
            of_tile.eq(self.config.rows * entries),
        ]
        start = later(m, self.decoded, 2)
        for name, number, port in (
            ("opening", of_feeder, walk.opening),
            ("tile", of_tile, walk.tile),
        ):
            m.submodules[name] = split = Split(bits=12)
            m.d.comb += [
                split.start.eq(start),
                split.number.eq(number),
                split.count0.eq(counts[0]),
                split.count1.eq(counts[1]),
                port.eq(split.o),
            ]

    def _room(self, m, walk):
        """Entries of the row with most of them; whether a slot's entries find room there."""
        room, free = Signal(range(ROW_WORDS + 1), init=ROW_WORDS), Signal(range(ROW_WORDS + 1))
        entries = walk.entries
        m.d.comb += free.eq(room + self.freed)
        with m.If(walk.fills):
            m.d.sync += [room.eq(free - entries), walk.room.eq(free >= entries << 1)]
        with m.Else():
            m.d.sync += [room.eq(free), walk.room.eq(free >= entries)]

    def _read(self, m, walk):
        """Lines in, words out."""
        line_bits, word_bits = 8 * self.config.line_bytes, WORD * self.config.fmt.width
        width = max(line_bits, word_bits)
        lines_of_row, words_of_row = width // line_bits, width // word_bits
        depth = 2 * half_values_a(self.config) * self.config.fmt.width // width
        m.submodules.copy = copy = Memory(shape=width, depth=depth, init=[])
        write, read = copy.write_port(granularity=line_bits), copy.read_port()
        row, words = len(write.addr) - 1, (words_of_row - 1).bit_length()
        lines = (lines_of_row - 1).bit_length()
        m.d.comb += [
            write.addr.eq(Cat(self.line[lines:][:row], self.half)),
            write.data.eq(Cat(self.data for _ in range(lines_of_row))),
            write.en.eq(self.write << self.line[:lines] if lines else self.write),
            read.addr.eq(Cat(walk.word[words:][:row], walk.half)),
            read.en.eq(1),
        ]
        data = later(m, read.data)
        return data.word_select(later(m, walk.word[:words], READ), word_bits) if words else data
