"""The multiply-accumulate path of a cell with IEEE words at its ends."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.layouts import ACC_LAYOUT
from sparsat.hw.float.multiply import Multiply
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.float.unpack import ToCol, ToRow
from sparsat.hw.formats import FloatFormat


class MultiplyAccumulate(wiring.Component):
    """`o = c + a · b`, the product exact, one rounding to binary32.

    The same units in the same order as in the array: operands are unpacked at its edge, products
    and sums are formed in a cell, sums are packed at its edge.

    A result is never -0; BF16 subnormals count as +0 in `a`, `b` and the result.

    Parameters
    ----------
    fmt : FloatFormat
        Format of `a` and `b`.

    Members
    -------
    a, b : In(fmt.width)
    c : In(32)
        binary32; subnormals and -0 are read as +0.
    o : Out(32)

    Latency `latency` cycles, one result per cycle.
    """

    latency = ToRow.latency + Multiply.latency + Accumulate.latency + StoreAccumulator.latency

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        super().__init__({"a": In(fmt.width), "b": In(fmt.width), "c": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = ToRow(fmt=self.fmt)
        m.submodules.col = col = ToCol(fmt=self.fmt)
        m.submodules.load = load = LoadAccumulator()
        m.submodules.multiply = multiply = Multiply(fmt=self.fmt)
        m.submodules.accumulate = accumulate = Accumulate(fmt=self.fmt)
        m.submodules.store = store = StoreAccumulator()

        summand = load.o
        for stage in range(ToRow.latency + Multiply.latency - LoadAccumulator.latency):
            delayed = Signal(ACC_LAYOUT, name=f"summand_{stage}")
            m.d.sync += delayed.eq(summand)
            summand = delayed
        m.d.comb += [
            row.i.eq(self.a),
            col.i.eq(self.b),
            load.i.eq(self.c),
            multiply.a.eq(row.o),
            multiply.b.eq(col.o),
            accumulate.p.eq(multiply.o),
            accumulate.c.eq(summand),
            store.i.eq(accumulate.o),
            self.o.eq(store.o),
        ]
        return m
