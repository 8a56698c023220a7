"""Steps of numbers in mixed radix, for walkers that take one per cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib.data import StructLayout

from sparsat.hw.digits import DIGIT, Digits

STEP = 8
"""The largest step."""


class Counter:
    """How numbers go up, by `step` at a time, that know before a step whether it carries.

    The first step of a number whose d0 is no multiple of `step` goes to the next one.

    Parameters
    ----------
    m : Module
    counts : sequence of two ValueLike
        See `Digits`; the first is a multiple of `step`. They are the same from two cycles before
        they are used on.
    step : ValueLike
        A power of two up to `STEP`, the same as long.
    """

    LAYOUT = StructLayout({**{name: f.shape for name, f in Digits.LAYOUT}, "ends0": 1, "ends1": 1})
    """`Digits`, and whether the next step leads to the first count; whether d1 is the last one."""

    def __init__(self, m: Module, counts: Sequence[ValueLike], step: ValueLike = 1):
        self._step = step = Value.cast(step)
        self._beyond = Signal(STEP.bit_length() - 1, name="beyond")
        m.d.sync += self._beyond.eq(step - 1)
        self._last = [Signal(DIGIT, name=f"last{n}") for n in range(2)]
        self._before = [Signal(DIGIT, name=f"before{n}") for n in range(2)]
        self._only = [Signal(name=f"only{n}") for n in range(2)]
        for n, by in enumerate((step, Value.cast(1))):
            m.d.sync += [
                self._last[n].eq(counts[n] - by),
                self._before[n].eq(counts[n] - (by << 1)),
                self._only[n].eq(counts[n] == by),
            ]

    def zero(self) -> Value:
        """0."""
        return Cat(Const(0, Digits.LAYOUT.size), *self._only)

    def of(self, digits) -> Value:
        """A number of layout `Digits.LAYOUT`."""
        return Cat(digits, self._begin(digits.d0) == self._last[0], digits.d1 == self._last[1])

    def by(self, value) -> Value:
        """By how much the number's next step makes it larger."""
        return (self._step - (value.d0[: len(self._beyond)] & self._beyond))[: STEP.bit_length()]

    def after(self, value) -> Value:
        """The number after the next step. No carry is waited for: both were known before."""
        carry0, carry1 = value.ends0, value.ends0 & value.ends1
        begin = self._begin(value.d0)
        return Cat(
            Mux(carry0, 0, begin + self._step)[:DIGIT],
            Mux(carry1, 0, value.d1 + carry0)[:DIGIT],
            (value.d2 + carry1)[:DIGIT],
            (value.whole + self.by(value))[: DIGIT + 1],
            Mux(carry0, self._only[0], begin == self._before[0]),
            Mux(
                carry1,
                self._only[1],
                Mux(carry0, value.d1 == self._before[1], value.ends1),
            ),
        )

    def _begin(self, d0) -> Value:
        """Down to a multiple of the step."""
        low = len(self._beyond)
        return Cat(d0[:low] & ~self._beyond, d0[low:])
