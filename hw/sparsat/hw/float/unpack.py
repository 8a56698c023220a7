"""Operand words to array operands and to binary32."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.layouts import OperandCodes, col_layout, row_layout
from sparsat.hw.formats import FP32, FloatFormat


class Normalise(wiring.Component):
    """Splits an IEEE word and normalises subnormals (or reads them as zero, as the format says).

    Parameters
    ----------
    fmt : FloatFormat

    Members
    -------
    i : In(fmt.width)
    o : Out(struct)
        `sign`, `frac` without the leading one, `exp` = biased exponent + `exp_offset` of
        `OperandCodes`, and the flags `zero`, `inf`, `nan`.

    Latency 1 cycle, one word per cycle.
    """

    latency = 1

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        exp_bits = (fmt.exp_max + OperandCodes(fmt).exp_offset).bit_length()
        self.layout = StructLayout(
            {"sign": 1, "frac": fmt.frac_bits, "exp": exp_bits, "zero": 1, "inf": 1, "nan": 1}
        )
        super().__init__({"i": In(fmt.width), "o": Out(self.layout)})

    def elaborate(self, platform):
        m = Module()
        fmt, o = self.fmt, self.o
        frac, exp, sign = (
            self.i[: fmt.frac_bits],
            self.i[fmt.frac_bits : -1],
            self.i[-1],
        )
        offset = OperandCodes(fmt).exp_offset
        low, high = ~exp.any(), exp.all()
        m.d.sync += [
            o.sign.eq(sign),
            o.zero.eq(low & (~frac.any() if fmt.subnormals else 1)),
            o.inf.eq(high & ~frac.any()),
            o.nan.eq(high & frac.any()),
            o.frac.eq(frac),
            o.exp.eq(exp + offset),
        ]
        if fmt.subnormals:
            with m.If(low):
                for place in range(fmt.frac_bits):
                    shift = fmt.frac_bits - place
                    with m.If(frac[place]):
                        m.d.sync += [o.frac.eq(frac << shift), o.exp.eq(1 + offset - shift)]
        return m


class _Operand(wiring.Component):
    """Common frame of the two operand forms: normalise, then encode."""

    latency = 2

    def __init__(self, *, fmt: FloatFormat, layout: StructLayout):
        self.fmt = fmt
        super().__init__({"i": In(fmt.width), "o": Out(layout)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.normalise = normalise = Normalise(fmt=self.fmt)
        m.d.comb += normalise.i.eq(self.i)
        self._encode(m, normalise.o)
        for kind, flag in (("ZERO", "zero"), ("INF", "inf"), ("NAN", "nan")):
            with m.If(normalise.o[flag]):
                code = OperandCodes.code(getattr(OperandCodes, kind), len(self.o.exp))
                m.d.sync += self.o.exp.eq(code)
        return m


class ToRow(_Operand):
    """Operand word to the form that moves right (`row_layout`).

    Members
    -------
    i : In(fmt.width)
    o : Out(row_layout(fmt))

    Latency 2 cycles, one word per cycle.
    """

    def __init__(self, *, fmt: FloatFormat):
        super().__init__(fmt=fmt, layout=row_layout(fmt))

    def _encode(self, m, n):
        magnitude = Cat(n.frac, 1)
        m.d.sync += [
            self.o.mant.eq(Mux(n.zero, 0, Mux(n.sign, -magnitude, magnitude))),
            self.o.exp.eq(n.exp + OperandCodes(self.fmt).row_bias),
        ]


class ToCol(_Operand):
    """Operand word to the form that moves down (`col_layout`).

    A negative power of two -2**k is written as -2 · 2**(k-1), so that the significand's second
    bit is always the inverted sign.

    Members
    -------
    i : In(fmt.width)
    o : Out(col_layout(fmt))

    Latency 2 cycles, one word per cycle.
    """

    def __init__(self, *, fmt: FloatFormat):
        super().__init__(fmt=fmt, layout=col_layout(fmt))

    def _encode(self, m, n):
        m.d.sync += [
            self.o.sign.eq(n.sign),
            self.o.frac.eq(Mux(n.sign, -n.frac, n.frac)),
            self.o.exp.eq(n.exp - (n.sign & ~n.frac.any())),
        ]


class Widen(wiring.Component):
    """Operand word to binary32, exactly; NaN becomes the canonical quiet NaN.

    Subnormals of a format without them become zeros of their sign.

    Members
    -------
    i : In(fmt.width)
    o : Out(32)

    Latency 2 cycles, one word per cycle.
    """

    latency = 2

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        super().__init__({"i": In(fmt.width), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        fmt = self.fmt
        m.submodules.normalise = normalise = Normalise(fmt=fmt)
        n = normalise.o
        bias = FP32.bias - fmt.bias - OperandCodes(fmt).exp_offset
        exp = Signal(8)
        m.d.comb += [normalise.i.eq(self.i), exp.eq(n.exp + bias)]
        m.d.sync += self.o.eq(Cat(n.frac.shift_left(FP32.frac_bits - fmt.frac_bits), exp, n.sign))
        with m.If(n.zero):
            m.d.sync += self.o.eq(n.sign << 31)
        with m.Elif(n.inf):
            m.d.sync += self.o.eq(Cat(Const(FP32.exp_max << FP32.frac_bits, 31), n.sign))
        with m.Elif(n.nan):
            m.d.sync += self.o.eq(FP32.quiet_nan)
        return m
