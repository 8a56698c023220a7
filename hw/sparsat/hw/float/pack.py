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

    Latency 3 cycles, one word per cycle.
    """

    latency = 3

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
        small = exp <= gap
        beyond = exp < gap - fmt.frac_bits - 1
        places, significand = Signal(4), Signal(FP32.frac_bits + 1)
        exponent, sign_1, over_1, nan_1 = Signal(fmt.exp_bits), Signal(), Signal(), Signal()
        m.d.sync += [
            places.eq(Mux(beyond, 15, Mux(small, gap + 1 - exp[:4], 0))),
            significand.eq(Cat(frac, 1)),
            exponent.eq(Mux(small, 0, exp - gap)),
            sign_1.eq(sign),
            over_1.eq(exp >= gap + fmt.exp_max),
            nan_1.eq(exp.all() & frac.any()),
        ]
        if not fmt.subnormals:
            with m.If(~exp.any()):
                m.d.sync += significand.eq(0)

        # `lost`: below the guard bit, which is number drop - 1 before it moves.
        shifted = significand >> places
        lost = Cat(bit & (places > n - (drop - 1)) for n, bit in enumerate(significand)).any()
        kept = Signal(fmt.width - 1)
        guard, sticky = Signal(), Signal()
        sign_2, over_2, nan_2 = Signal(), Signal(), Signal()
        m.d.sync += [
            kept.eq(Cat(shifted[drop : FP32.frac_bits], exponent)),
            guard.eq(shifted[drop - 1]),
            sticky.eq(lost),
            *(sign_2.eq(sign_1), over_2.eq(over_1), nan_2.eq(nan_1)),
        ]

        rounded = Signal(fmt.width - 1)
        m.d.comb += rounded.eq(kept + (guard & (sticky | kept[0])))
        infinity = fmt.exp_max << fmt.frac_bits
        m.d.sync += self.o.eq(Cat(Mux(over_2, infinity, rounded)[: fmt.width - 1], sign_2))
        with m.If(nan_2):
            m.d.sync += self.o.eq(fmt.quiet_nan)
        return m
