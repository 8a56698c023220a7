"""Numbers in mixed radix: what the counters of EXEC are made of (docs/isa.md)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

DIGIT = 24
"""Bits of a digit, and of a count."""


class Digits:
    """A number: d0 below the first count, d1 below the second, d2 the rest; and itself, `whole`."""

    LAYOUT = StructLayout({"d0": DIGIT, "d1": DIGIT, "d2": DIGIT, "whole": DIGIT + 1})


class Sum(wiring.Component):
    """The sum of two numbers, `latency` cycles after they have come to stay.

    Members
    -------
    a, b : In(Digits.LAYOUT), count0, count1 : In(DIGIT)
    o : Out(Digits.LAYOUT)
    """

    latency = 3

    def __init__(self):
        super().__init__(
            {
                "a": In(Digits.LAYOUT),
                "b": In(Digits.LAYOUT),
                "count0": In(DIGIT),
                "count1": In(DIGIT),
                "o": Out(Digits.LAYOUT),
            }
        )

    def elaborate(self, platform):
        m = Module()
        d0, d1, d2 = (Signal(DIGIT + 1) for _ in range(3))
        over0, low = Signal(), Signal(DIGIT)
        with_carry = Signal(DIGIT + 1)
        m.d.sync += [
            d0.eq(self.a.d0 + self.b.d0),
            d1.eq(self.a.d1 + self.b.d1),
            d2.eq(self.a.d2 + self.b.d2),
            over0.eq(d0 >= self.count0),
            low.eq(Mux(d0 >= self.count0, d0 - self.count0, d0)),
        ]
        m.d.comb += with_carry.eq(d1 + over0)
        over1 = with_carry >= self.count1
        m.d.sync += [
            self.o.d0.eq(low),
            self.o.d1.eq(Mux(over1, with_carry - self.count1, with_carry)),
            self.o.d2.eq(d2 + over1),
            self.o.whole.eq(self.a.whole + self.b.whole),
        ]
        return m


class Split(wiring.Component):
    """A small number as `Digits`: two divisions, a bit per cycle.

    Parameters
    ----------
    bits : int
        Of the number.

    Members
    -------
    start : In(1), number : In(bits), count0, count1 : In(DIGIT)
    o : Out(Digits.LAYOUT)
        `2 * bits + 1` cycles after `start`, until the next one; `number` and counts stay as long.
    """

    def __init__(self, *, bits: int):
        self.bits = bits
        super().__init__(
            {
                "start": In(1),
                "number": In(bits),
                "count0": In(DIGIT),
                "count1": In(DIGIT),
                "o": Out(Digits.LAYOUT),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rest, quotient = Signal(self.bits), Signal(self.bits)
        left, second = Signal(range(self.bits + 1)), Signal()
        count = Mux(second, self.count1, self.count0)
        shifted, fits, new = Signal(self.bits + 1), Signal(), Signal(self.bits)
        bits = Signal(self.bits)
        m.d.comb += [
            shifted.eq(Cat(quotient[-1], rest)),
            fits.eq(shifted >= count),
            new.eq(Mux(fits, shifted - count, shifted)),
            bits.eq(Cat(fits, quotient)),
        ]
        with m.If(left != 0):
            m.d.sync += [rest.eq(new), quotient.eq(bits), left.eq(left - 1)]
            with m.If(left == 1):
                m.d.sync += [rest.eq(0), second.eq(1)]
                with m.If(second):
                    m.d.sync += [self.o.d1.eq(new), self.o.d2.eq(bits)]
                with m.Else():
                    m.d.sync += [self.o.d0.eq(new), left.eq(self.bits)]
        with m.If(self.start):
            m.d.sync += [
                rest.eq(0),
                quotient.eq(self.number),
                left.eq(self.bits),
                second.eq(0),
                self.o.whole.eq(self.number),
            ]
        return m
