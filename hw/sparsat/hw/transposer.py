"""Transposer: square blocks of values, rows in, columns out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig


def row_number_bits(config: SATConfig) -> int:
    """Bits of the number of a block's row. ValueError where `cols` is no power of two."""
    bits = config.cols.bit_length() - 1
    if config.cols != 1 << bits or not bits:
        raise ValueError(f"cols is {config.cols}, to transpose it must be a power of two from 2 on")
    return bits


class Transposer(wiring.Component):
    """Transposes blocks of `cols` by `cols` values that follow each other.

    There is one small memory for each lane. Value c of row r lies in memory c ^ r at address r, so
    that the values of a row, and those of a column, are all in different ones. The way there and
    back is an exchange of lanes by r (and by c): one multiplexer for each bit of it. While one
    block comes in, the one before leaves from the other half of the memories.

    Parameters
    ----------
    config : SATConfig
        `cols` must be a power of two.

    Members
    -------
    i : In(stream of fmt.width * cols)
        A row of the block, its first value lowest.
    o : Out(stream of fmt.width * cols)
        A column of the block in the same order.

    One row per cycle in and out, without a pause between blocks unless `o` is held up. A block's
    first column leaves `latency` cycles after its last row has come, or when the block before has
    left.
    """

    latency = 3

    def __init__(self, *, config: SATConfig):
        self._bits, self._cols, self._width = row_number_bits(config), config.cols, config.fmt.width
        row = stream.Signature(self._width * self._cols)
        super().__init__({"i": In(row), "o": Out(row)})

    def elaborate(self, platform):
        m = Module()
        store, advance, load = Signal(), Signal(), Signal()
        came, left = (Signal(self._bits + 1, name=name) for name in ("came", "left"))  # half on top
        full = Signal(2)  # the halves that hold a whole block
        loaded, by = Signal(), Signal(self._bits)
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(came[-1], 1)),
            store.eq(self.i.valid & self.i.ready),
            advance.eq(~self.o.valid | self.o.ready),
            load.eq(full.bit_select(left[-1], 1) & advance),
        ]
        with m.If(store):
            m.d.sync += came.eq(came + 1)
            with m.If(came[:-1].all()):
                m.d.sync += full.bit_select(came[-1], 1).eq(1)
        with m.If(load):
            m.d.sync += [left.eq(left + 1), by.eq(left)]
            with m.If(left[:-1].all()):
                m.d.sync += full.bit_select(left[-1], 1).eq(0)
        with m.If(advance):
            m.d.sync += [loaded.eq(load), self.o.valid.eq(loaded)]

        row = [self.i.payload.word_select(n, self._width) for n in range(self._cols)]
        column = []
        for n, value in enumerate(_exchanged(row, came[:-1])):
            m.submodules[f"lane_{n}"] = lane = Memory(
                shape=self._width, depth=2 * self._cols, init=[]
            )
            write, read = lane.write_port(), lane.read_port(domain="comb")
            held = Signal(self._width, name=f"held_{n}", reset_less=True)
            m.d.comb += [write.en.eq(store), write.addr.eq(came), write.data.eq(value)]
            m.d.comb += read.addr.eq(Cat(left[:-1] ^ n, left[-1]))
            with m.If(load):
                m.d.sync += held.eq(read.data)
            column.append(held)
        with m.If(advance):
            m.d.sync += self.o.payload.eq(Cat(_exchanged(column, by)))
        return m


def _exchanged(values, by):
    """Value n of the result is value n ^ `by`."""
    for k, bit in enumerate(by):
        values = [Mux(bit, values[n ^ 1 << k], value) for n, value in enumerate(values)]
    return values
