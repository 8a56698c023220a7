"""binary32 · binary32."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.formats import FP32

FRAC = FP32.frac_bits
SPLIT = 17
"""Bits of b's significand that the first DSP slice takes: it multiplies 27 by 18 bits, signed."""


class Multiply32(wiring.Component):
    """`o = a · b` in binary32, rounded to nearest even.

    Subnormals are read as zeros. A product is rounded as if exponents had no bounds; if it is then
    below the smallest normal number it is +0. No product is -0; NaN is the canonical one.

    Members
    -------
    a, b : In(32)
    o : Out(32)

    Latency 4 cycles, one product per cycle. Two DSP slices.
    """

    latency = 4
    a: In(32)
    b: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        self._mark(m)
        self._multiply(m)
        self._normalise_and_round(m)
        self._pack(m)
        return m

    def _mark(self, m):
        """Sign and special values, beside stages 1 to 3."""
        marks = StructLayout({"sign": 1, "zero": 1, "inf": 1, "nan": 1})
        stages = [Signal(marks, name=f"marks_{n}", reset_less=True) for n in (1, 2, 3)]
        exps = [x[FRAC:-1] for x in (self.a, self.b)]
        zero_a, zero_b = (~exp.any() for exp in exps)
        inf_a, inf_b = (x[: FRAC + 8] == FP32.exp_max << FRAC for x in (self.a, self.b))
        nan = [exp.all() & x[:FRAC].any() for exp, x in zip(exps, (self.a, self.b), strict=True)]
        m.d.sync += [
            stages[0].sign.eq(self.a[-1] ^ self.b[-1]),
            stages[0].zero.eq(zero_a | zero_b),
            stages[0].inf.eq(inf_a | inf_b),
            stages[0].nan.eq(nan[0] | nan[1] | (inf_a & zero_b) | (zero_a & inf_b)),
            *(to.eq(of) for to, of in zip(stages[1:], stages[:-1], strict=True)),
        ]
        self._marks = stages[-1]

    def _multiply(self, m):
        """Stage 1: two partial products. Stage 2: their sum, and the exponent as it is below 2."""
        mant_a, mant_b = (Cat(x[:FRAC], 1) for x in (self.a, self.b))
        low, high = Signal(FRAC + 1 + SPLIT, reset_less=True), Signal(2 * (FRAC + 1) - SPLIT)
        exps = Signal(9, reset_less=True)
        self._product = Signal(2 * (FRAC + 1), reset_less=True)
        self._exp = Signal(signed(10), reset_less=True)
        m.d.sync += [
            low.eq(mant_a * mant_b[:SPLIT]),
            high.eq(mant_a * mant_b[SPLIT:]),
            exps.eq(self.a[FRAC:-1] + self.b[FRAC:-1]),
            self._product.eq(Cat(low[:SPLIT], (high + low[SPLIT:])[: len(high)])),
            self._exp.eq(exps - FP32.bias),
        ]

    def _normalise_and_round(self, m):
        """Stage 3: the fraction, with the exponent on top of it for what rounding carries."""
        product = self._product
        two = product[-1]  # 2 or more
        places = Signal(FRAC + 2)  # fraction, rounding bit, anything below
        m.d.comb += places.eq(
            Mux(
                two,
                Cat(product[:FRAC].any(), product[FRAC:-1]),
                Cat(product[: FRAC - 1].any(), product[FRAC - 1 : -2]),
            )
        )
        up = places[1] & (places[0] | places[2])
        self._rounded = Signal(signed(FRAC + 10), reset_less=True)
        m.d.sync += self._rounded.eq(Cat(places[2:], self._exp + two).as_signed() + up)

    def _pack(self, m):
        """Stage 4: a word, or what stands for a value that has none."""
        exp, marks = self._rounded[FRAC:].as_signed(), self._marks
        infinity = Const(FP32.exp_max << FRAC, 31)
        m.d.sync += self.o.eq(Cat(self._rounded[: FRAC + 8], marks.sign))
        with m.If(marks.nan):
            m.d.sync += self.o.eq(FP32.quiet_nan)
        with m.Elif(marks.inf | (~marks.zero & (exp >= FP32.exp_max))):
            m.d.sync += self.o.eq(Cat(infinity, marks.sign))
        with m.Elif(marks.zero | (exp <= 0)):
            m.d.sync += self.o.eq(0)
