"""binary32 + binary32."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.layouts import ACC_LAYOUT
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.float.sum import Sum


class AddWord(wiring.Component):
    """Accumulator + binary32, rounded once: a link of a chain of sums.

    Subnormals and -0 in `a` are read as +0; a sum below the smallest normal number is +0.

    Members
    -------
    a : In(32)
        One cycle before its `c`.
    c : In(ACC_LAYOUT)
    o : Out(ACC_LAYOUT)

    Latency 6 cycles from `a`, `link_latency` = 5 from `c`; one sum per cycle.
    """

    link_latency = Sum.latency + 2
    latency = LoadAccumulator.latency + link_latency
    a: In(32)
    c: In(ACC_LAYOUT)
    o: Out(ACC_LAYOUT)

    def elaborate(self, platform):
        m = Module()
        fields = dict(ACC_LAYOUT.members)
        addend = StructLayout({**fields, "exp": signed(9), "sign": 1})
        wide = StructLayout({**fields, "exp": signed(10)})
        m.submodules.load = load = LoadAccumulator()
        m.submodules.sum = add = Sum(addend=addend, align=0, result=wide)
        total = Signal(wide)
        m.d.comb += [
            load.i.eq(self.a),
            *(add.p[name].eq(load.o[name]) for name in fields),
            add.p.sign.eq(load.o.mant[-1]),
            add.c.eq(self.c),
        ]
        m.d.sync += total.eq(add.o)

        # Outside binary32's range a finite sum is infinite or zero. Where |mant| is 2**24 it is
        # the next power of two.
        mant = total.mant
        doubled = Mux(mant[-1], ~mant[:-2].any(), mant[-2])
        exp = total.exp + doubled
        m.d.sync += [
            *(self.o[name].eq(total[name]) for name in fields),
            self.o.inf.eq(total.inf | (exp > 254)),
        ]
        with m.If(~total.inf & (exp < 1)):
            m.d.sync += [self.o.mant.eq(0), self.o.exp.eq(0)]
        return m


class Add32(wiring.Component):
    """`o = a + b` in binary32, rounded to nearest even.

    Subnormals and -0 are read as +0; a sum below the smallest normal number is +0; NaN is the
    canonical one.

    Members
    -------
    a, b : In(32)
    o : Out(32)

    Latency `latency` cycles, one sum per cycle.
    """

    latency = AddWord.latency + StoreAccumulator.latency
    a: In(32)
    b: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.load = load = LoadAccumulator()
        m.submodules.add = add = AddWord()
        m.submodules.store = store = StoreAccumulator()
        m.d.comb += [
            load.i.eq(self.a),
            add.a.eq(self.b),
            add.c.eq(load.o),
            store.i.eq(add.o),
            self.o.eq(store.o),
        ]
        return m
