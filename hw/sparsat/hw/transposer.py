"""Transposer: square blocks of values, rows in, columns out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.timing import TRANSPOSER_LATENCY


def row_number_bits(config: SATConfig) -> int:
    """Bits of the number of a block's row. ValueError where `cols` is no power of two."""
    bits = config.cols.bit_length() - 1
    if config.cols != 1 << bits or not bits:
        raise ValueError(f"cols is {config.cols}, to transpose it must be a power of two from 2 on")
    return bits


class Transposer(wiring.Component):
    """Transposes blocks of `cols` rows that follow each other.

    A row comes in parts of `cols` values. The columns of its first part leave first, then those of
    the others.

    There is one memory for each lane. Value c of a part of row r lies in memory c ^ r at address r,
    so that the values of a row, and those of a column, are all in different ones. The way there and
    back is an exchange of lanes by r (and by c): one multiplexer for each bit of it. While one
    block comes in, the one before leaves from the other half of the memories.

    Parameters
    ----------
    config : SATConfig
        `cols` must be a power of two.
    most_parts : int
        Parts of a row, at most.
    bits : int
        Of a value; None for those of an operand.

    Members
    -------
    i : In(stream of bits * cols)
        A part of a row of the block, its first value lowest.
    o : Out(stream of bits * cols)
        A column of the block in the same order.
    more : In(range(most_parts))
        Parts of a row but one; only where `most_parts` is not 1. It changes between blocks, when
        none is under way.

    One word per cycle in and out, without a pause between blocks unless `o` is held up. A block's
    first column leaves `latency` cycles after its last row has come, or when the block before has
    left.
    """

    latency = TRANSPOSER_LATENCY

    def __init__(self, *, config: SATConfig, most_parts: int = 1, bits: int | None = None):
        self._bits, self._cols = row_number_bits(config), config.cols
        self._width = bits or config.fmt.width
        self._parts = range(most_parts)
        row = stream.Signature(self._width * self._cols)
        more = {"more": In(self._parts)} if most_parts > 1 else {}
        super().__init__({"i": In(row), "o": Out(row)} | more)

    def elaborate(self, platform):
        m = Module()
        store, advance, fetch, load = Signal(), Signal(), Signal(), Signal()
        loaded, by = Signal(), Signal(self._bits)
        full = Signal(2)  # the halves that hold a whole block
        row, row_part, row_half, block_came = self._places(m, store, "row", rows_first=False)
        column, part, half, block_left = self._places(m, load, "column", rows_first=True)
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(row_half, 1)),
            store.eq(self.i.valid & self.i.ready),
            advance.eq(~self.o.valid | self.o.ready),
            fetch.eq(~loaded | advance),
            load.eq(full.bit_select(half, 1) & fetch),
        ]
        with m.If(block_came):
            m.d.sync += full.bit_select(row_half, 1).eq(1)
        with m.If(block_left):
            m.d.sync += full.bit_select(half, 1).eq(0)
        with m.If(load):
            m.d.sync += by.eq(column)
        with m.If(fetch):
            m.d.sync += loaded.eq(load)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(loaded)

        values = [self.i.payload.word_select(n, self._width) for n in range(self._cols)]
        held = []
        for n, value in enumerate(_exchanged(values, row)):
            depth = 1 << self._bits + len(part) + 1
            m.submodules[f"lane_{n}"] = lane = Memory(shape=self._width, depth=depth, init=[])
            write, read = lane.write_port(), lane.read_port()
            m.d.comb += [
                write.en.eq(store),
                write.addr.eq(Cat(row, row_part, row_half)),
                write.data.eq(value),
                read.en.eq(load),
                read.addr.eq(Cat(column ^ n, part, half)),
            ]
            held.append(read.data)
        with m.If(advance):
            m.d.sync += self.o.payload.eq(Cat(_exchanged(held, by)))
        return m

    def _places(self, m, step, name, *, rows_first):
        """Counts the words of blocks, in the order of rows or of parts; `step` goes on to the next.

        Returns number of the row (or column), part and half, and whether the block ends now.
        """
        number, half = Signal(self._bits, name=name), Signal(name=f"{name}_half")
        part = Signal(self._parts, name=f"{name}_part")
        last_part = part == (self.more if len(self._parts) > 1 else 0)
        last = number.all() & last_part
        with m.If(step):
            m.d.sync += half.eq(half ^ last)
            with m.If(rows_first | last_part):
                m.d.sync += number.eq(number + 1)
            with m.If(number.all() if rows_first else 1):
                m.d.sync += part.eq(Mux(last_part, 0, part + 1))
        return number, part, half, step & last


def _exchanged(values, by):
    """Value n of the result is value n ^ `by`."""
    for k, bit in enumerate(by):
        values = [Mux(bit, values[n ^ 1 << k], value) for n, value in enumerate(values)]
    return values
