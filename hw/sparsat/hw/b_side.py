"""The B scratchpad: a bank for each column, filled line by line, read row by row."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.b_walk import WALK, BWalk, row_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.edges import col_word
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.isa.site import half_rows_b
from sparsat.hw.later import later
from sparsat.hw.load_b import PLANES, plane_ports
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.parts import Parts

AHEAD = 32
"""Rows that are read before the array takes them, at most."""
READ = 2
"""Cycles of a bank from address to word."""
INDEX = 4
"""Bits of an index in memory."""


def write_layout(config: SATConfig, *, index: bool) -> StructLayout:
    """Where a line goes, which of its rows count: `plane_ports` but for the data."""
    shapes = plane_ports(config, index=index)
    return StructLayout({name: shape for name, shape in shapes.items() if name != "data"})


def column_data(config: SATConfig, line, column: int, *, index: bool):
    """The column's part of a line, its first row lowest."""
    width = INDEX if index else config.fmt.width
    rows = rows_of_line(config, index=index)
    return Cat(line.word_select(row * config.cols + column, width) for row in range(rows))


class BColumn(wiring.Component):
    """One column's bank of values and of indices, and the words read ahead of the array.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    values, indices : In(write_layout), values_data, indices_data : In
        This column's part of a line to write.
    valid : In(1), row : In(row_layout)
        A row to read; to the next column one cycle later as `valid_out`, `row_out`.
    take : In(1)
        The array takes `word`.
    word : Out(col_word)
    late : Out(1)
        It takes what is not there.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        row = row_layout(config)
        super().__init__(
            {
                "values": In(write_layout(config, index=False)),
                "values_data": In(rows_of_line(config, index=False) * config.fmt.width),
                "indices": In(write_layout(config, index=True)),
                "indices_data": In(rows_of_line(config, index=True) * INDEX),
                "valid": In(1),
                "row": In(row),
                "valid_out": Out(1),
                "row_out": Out(row),
                "take": In(1),
                "word": Out(col_word(config).size),
                "late": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.valid_out.eq(self.valid), self.row_out.eq(self.row)]
        value = self._bank(m, "values", self.values, self.values_data, self.config.fmt.width)
        index = self._bank(m, "indices", self.indices, self.indices_data, INDEX)
        zero = later(m, self.row.zero, READ)
        packed = later(m, self.row.packed, READ)
        word = Signal(col_word(self.config))
        m.d.comb += [
            word.value.eq(Mux(zero, 0, value)),
            word.index.eq(Mux(zero | ~packed, 0, index)),
        ]
        m.submodules.ahead = ahead = Queue(shape=len(self.word), depth=AHEAD)
        m.d.comb += [
            ahead.i.valid.eq(later(m, self.valid, READ)),
            ahead.i.payload.eq(word),
            ahead.o.ready.eq(self.take),
            self.word.eq(ahead.o.payload),
            self.late.eq(self.take & ~ahead.o.valid),
        ]
        return m

    def _bank(self, m, name, where, data, width):
        """Write lines, those of both halves in turns; the word of `self.row`, `READ` cycles
        later."""
        lanes = len(where.mask)
        depth = 2 * -(-half_rows_b(self.config) // lanes)
        m.submodules[name] = bank = Memory(shape=lanes * width, depth=depth, init=[])
        write, read = bank.write_port(granularity=width), bank.read_port()
        bits = (lanes - 1).bit_length()
        m.d.comb += [
            write.addr.eq(Cat(where.half, where.line)),
            write.data.eq(data),
            write.en.eq(Mux(where.valid, where.mask, 0)),
            read.addr.eq(Cat(self.row.half, self.row.row[bits:])),
            read.en.eq(1),
        ]
        lane = later(m, self.row.row[:bits], READ)
        return later(m, read.data).word_select(lane, width)


def part_makers(config: SATConfig) -> dict[str, Callable[[], wiring.Component]]:
    """What is repeated, by Verilog module name."""
    return {"b_column": lambda: BColumn(config=config)}


class BSide(wiring.Component):
    """All columns, and the walker that says which rows they read.

    Addresses go from column to column, one per cycle, as everything does in the array.

    Parameters
    ----------
    config : SATConfig
    parts : Parts

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    values, indices : In(write_layout), values_data, indices_data : In(8 * line_bytes)
        Lines from LOAD_B.
    b_{c} : Out(width of col_word), b_ready_{c} : In(1)
        See `STCE`.
    late : Out(1)
        A column lacked a word.
    outside : Out(1)
        An address does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        ports = {
            **told_ports(),
            "late": Out(1),
            "outside": Out(1),
        }
        for name, index in PLANES.items():
            ports |= {
                name: In(write_layout(config, index=index)),
                f"{name}_data": In(8 * config.line_bytes),
            }
        for c in range(config.cols):
            ports |= {f"b_{c}": Out(col_word(config).size), f"b_ready_{c}": In(1)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = BWalk(config=self.config)
        tell(m, self, walk)
        ahead = Signal(range(AHEAD + 1))
        m.d.sync += ahead.eq(ahead + walk.begun - self.b_ready_0)
        # A register: one less than there is room for may be begun in the cycle before.
        m.d.sync += walk.room.eq(ahead < AHEAD - 1)
        m.d.comb += self.outside.eq(walk.outside)
        valid, row, late = walk.valid, walk.row.as_value(), []
        for c in range(self.config.cols):
            column = self.parts.place(m, "b_column", f"column_{c}")
            for name, index in PLANES.items():
                data = column_data(self.config, getattr(self, f"{name}_data"), c, index=index)
                m.d.comb += [
                    getattr(column, name).eq(getattr(self, name).as_value()),
                    getattr(column, f"{name}_data").eq(data),
                ]
            m.d.comb += [
                column.valid.eq(valid),
                column.row.eq(row),
                column.take.eq(getattr(self, f"b_ready_{c}")),
                getattr(self, f"b_{c}").eq(column.word),
            ]
            valid, row = column.valid_out, column.row_out
            late.append(column.late)
        m.d.sync += self.late.eq(Cat(late).any())
        return m


assert WALK + READ < AHEAD  # the walker can go on while words are on their way
