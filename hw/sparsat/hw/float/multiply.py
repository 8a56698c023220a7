"""Exact product of two array operands."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.layouts import OperandCodes, col_layout, product_layout, row_layout
from sparsat.hw.formats import FloatFormat


class Multiply(wiring.Component):
    """One DSP slice: significands multiplied, exponents added, special values marked.

    Parameters
    ----------
    fmt : FloatFormat
        Format the operands came from.

    Members
    -------
    a : In(row_layout(fmt))
    b : In(col_layout(fmt))
    o : Out(product_layout(fmt))

    Latency 1 cycle, one product per cycle.
    """

    latency = 1

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        super().__init__(
            {"a": In(row_layout(fmt)), "b": In(col_layout(fmt)), "o": Out(product_layout(fmt))}
        )

    def elaborate(self, platform):
        m = Module()
        codes = OperandCodes(self.fmt)
        a, b, o = self.a, self.b, self.o

        def kinds(exp):
            coded = exp[3:].all()
            return [coded & (exp[:2] == kind) for kind in (codes.ZERO, codes.INF, codes.NAN)]

        a_zero, a_inf, a_nan = kinds(a.exp)
        b_zero, b_inf, b_nan = kinds(b.exp)
        zero = Signal()
        m.d.comb += zero.eq(a_zero | b_zero)

        # A zero gets exponent 0, which never displaces an accumulator.
        b_mant = Signal(signed(self.fmt.frac_bits + 2))
        m.d.comb += b_mant.eq(Cat(b.frac, ~b.sign, b.sign).as_signed())
        mant = Signal(o.mant.shape(), reset_less=True)
        exp = Signal(o.exp.shape(), reset_less=True)
        m.d.sync += [
            mant.eq(Mux(zero, 0, a.mant * b_mant)),
            exp.eq(Mux(zero, 0, a.exp + b.exp + codes.product_bias)),
        ]
        m.d.comb += [o.mant.eq(mant), o.exp.eq(exp)]

        m.d.sync += [
            o.sign.eq(a.mant[-1] ^ b.sign),
            o.inf.eq(a_inf | b_inf),
            o.nan.eq(a_nan | b_nan | (a_inf & b_zero) | (a_zero & b_inf)),
        ]
        return m
