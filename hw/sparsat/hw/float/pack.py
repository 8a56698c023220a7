"""Accumulators to and from binary32, and binary32 to operand words."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.layouts import ACC_FRACTION, ACC_LAYOUT
from sparsat.hw.formats import FP32, FloatFormat


class LoadAccumulator(wiring.Component):
    """binary32 to accumulator; subnormals and -0 are read as +0.

    Members
    -------
    i : In(32)
    o : Out(ACC_LAYOUT)

    Latency 1 cycle, one word per cycle.
    """

    latency = 1
    i: In(32)
    o: Out(ACC_LAYOUT)

    def elaborate(self, platform):
        m = Module()
        frac, exp, sign = self.i[:23], self.i[23:31], self.i[31]
        magnitude = Cat(frac, 1)
        m.d.sync += [
            self.o.mant.eq(Mux(sign, -magnitude, magnitude)),
            self.o.exp.eq(exp),
            self.o.inf.eq(exp.all() & ~frac.any()),
            self.o.nan.eq(exp.all() & frac.any()),
        ]
        with m.If(~exp.any()):
            m.d.sync += self.o.mant.eq(0)
        return m


class StoreAccumulator(wiring.Component):
    """Accumulator to binary32, exactly; NaN is the canonical quiet NaN.

    Members
    -------
    i : In(ACC_LAYOUT)
    o : Out(32)

    Latency 2 cycles, one word per cycle.
    """

    latency = 2
    i: In(ACC_LAYOUT)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        sign = Signal()
        exp = Signal(8)
        magnitude = Signal(ACC_FRACTION + 2)
        inf, nan = Signal(), Signal()
        negative = self.i.mant[-1]
        m.d.sync += [
            sign.eq(negative),
            exp.eq(self.i.exp),
            magnitude.eq(Mux(negative, -self.i.mant, self.i.mant)),
            inf.eq(self.i.inf),
            nan.eq(self.i.nan),
        ]
        # 2**24 has a zero fraction and the next exponent; zero has exponent 0.
        m.d.sync += self.o.eq(Cat(magnitude[:23], (exp + magnitude[24])[:8], sign))
        with m.If(nan):
            m.d.sync += self.o.eq(FP32.quiet_nan)
        with m.Elif(inf):
            m.d.sync += self.o.eq(Cat(Const(FP32.exp_max << 23, 31), sign))
        return m


class Narrow(wiring.Component):
    """binary32 to an operand format, round to nearest even.

    Overflow becomes infinity, NaN the canonical quiet NaN, zeros keep their sign. Where the format
    has no subnormals, a binary32 subnormal becomes a zero of its sign.

    Parameters
    ----------
    fmt : FloatFormat

    Members
    -------
    i : In(32)
    o : Out(fmt.width)

    Latency 2 cycles, one word per cycle.
    """

    latency = 2

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        super().__init__({"i": In(32), "o": Out(fmt.width)})

    def elaborate(self, platform):
        m = Module()
        fmt = self.fmt
        frac, exp, sign = self.i[:23], self.i[23:31], self.i[31]
        drop = FP32.frac_bits - fmt.frac_bits
        gap = FP32.bias - fmt.bias

        # Below the normal range the significand moves further right, the exponent stays 0.
        small = Signal()
        places = Signal(8)
        significand = Signal(FP32.frac_bits + 1)
        m.d.comb += [
            small.eq(exp < gap + 1),
            places.eq(Mux(small, gap + 1 - exp, 0)),
            significand.eq(Mux(exp.any(), Cat(frac, 1), 0) if fmt.subnormals else Cat(frac, 1)),
        ]
        beyond = places > fmt.frac_bits + 2
        shifted = Signal(len(significand))
        m.d.comb += shifted.eq(significand >> Mux(beyond, 15, places[:4]))
        lost = (significand & ~(shifted << Mux(beyond, 15, places[:4]))).any()

        kept = Signal(fmt.width - 1)
        guard, sticky, sign_1 = Signal(), Signal(), Signal()
        over, nan = Signal(), Signal()
        m.d.sync += [
            # The leading one of a normal number counts as one more exponent step.
            kept.eq(shifted[drop:] + (Mux(small, 0, exp - gap - 1) << fmt.frac_bits)),
            guard.eq(shifted[drop - 1]),
            sticky.eq(shifted[: drop - 1].any() | lost),
            sign_1.eq(sign),
            over.eq(exp >= gap + fmt.exp_max),
            nan.eq(exp.all() & frac.any()),
        ]
        if not fmt.subnormals:
            with m.If(~exp.any()):
                m.d.sync += [kept.eq(0), guard.eq(0)]

        rounded = Signal(fmt.width - 1)
        m.d.comb += rounded.eq(kept + (guard & (sticky | kept[0])))
        infinity = fmt.exp_max << fmt.frac_bits
        m.d.sync += self.o.eq(Cat(Mux(over, infinity, rounded)[: fmt.width - 1], sign_1))
        with m.If(nan):
            m.d.sync += self.o.eq(fmt.quiet_nan)
        return m
