"""Compositions of the floating-point units that exist only to be verified."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.delay import delayed
from sparsat.hw.float.layouts import ACC_LAYOUT
from sparsat.hw.float.multiply import Multiply
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.float.unpack import ToCol, ToRow
from sparsat.hw.formats import FloatFormat
from sparsat.hw.wuve import FACTORS, WUVELane


class RoundTrip(wiring.Component):
    """binary32 to accumulator and back.

    Members
    -------
    i : In(32)
    o : Out(32)

    Latency 3 cycles, one word per cycle.
    """

    latency = LoadAccumulator.latency + StoreAccumulator.latency
    i: In(32)
    o: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.load = load = LoadAccumulator()
        m.submodules.store = store = StoreAccumulator()
        m.d.comb += [load.i.eq(self.i), store.i.eq(load.o), self.o.eq(store.o)]
        return m


class AccumulatorForms(wiring.Component):
    """`o = c + a · b` where c takes all the forms that an accumulator can have.

    Words from outside reach an accumulator in one form only. In a chain of sums powers of two
    come as `±2**24` too, and infinities and NaN with anything in the fields that do not count.

    Parameters
    ----------
    fmt : FloatFormat
        Format of `a` and `b`.

    Members
    -------
    a, b : In(fmt.width)
    c : In(32)
    twice : In(1)
        Write a power of two with two times the significand and an exponent less by one.
    fresh : In(1)
        For c = +0: say so by `Accumulate.fresh`, with noise instead of the summand.
    noise : In(36)
        Changes what must not count: a fresh summand, the unused fields of infinities and NaN.
    o : Out(32)
        All ones, which is no word that any unit gives, if the result breaks the rules of
        `ACC_LAYOUT`.

    Latency `latency` cycles, one result per cycle.
    """

    latency = ToRow.latency + Multiply.latency + Accumulate.latency + StoreAccumulator.latency

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        super().__init__(
            {
                **{"a": In(fmt.width), "b": In(fmt.width), "c": In(32)},
                **{"twice": In(1), "fresh": In(1), "noise": In(36), "o": Out(32)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.row = row = ToRow(fmt=self.fmt)
        m.submodules.col = col = ToCol(fmt=self.fmt)
        m.submodules.load = load = LoadAccumulator()
        m.submodules.multiply = multiply = Multiply(fmt=self.fmt)
        m.submodules.accumulate = accumulate = Accumulate(fmt=self.fmt)
        m.submodules.store = store = StoreAccumulator()

        form = delayed(m, Cat(self.noise, self.twice, self.fresh), LoadAccumulator.latency)
        noise, twice, fresh = form[:36], form[36], form[37]
        summand = Mux(fresh, noise, self._reform(m, load.o, noise, twice))
        wait = ToRow.latency + Multiply.latency - LoadAccumulator.latency
        summand, fresh = delayed(m, summand, wait), delayed(m, fresh, wait)
        legal = delayed(m, _is_legal(accumulate.o), StoreAccumulator.latency)

        m.d.comb += [
            row.i.eq(self.a),
            col.i.eq(self.b),
            load.i.eq(self.c),
            multiply.a.eq(row.o),
            multiply.b.eq(col.o),
            accumulate.p.eq(multiply.o),
            accumulate.c.eq(summand),
            accumulate.fresh.eq(fresh),
            store.i.eq(accumulate.o),
            self.o.eq(Mux(legal, store.o, 0xFFFFFFFF)),
        ]
        return m

    def _reform(self, m, acc, noise, twice):
        """The accumulator in the form that is asked for; infinities keep their sign."""
        formed = Signal(ACC_LAYOUT)
        m.d.comb += formed.eq(acc)
        with m.If(acc.inf | acc.nan):
            m.d.comb += [
                formed.mant.eq(Cat(noise[:25], acc.mant[-1])),
                formed.exp.eq(noise[25:33]),
            ]
        with m.Elif(twice & ((acc.mant == 1 << 23) | (acc.mant == -(1 << 23)))):
            m.d.comb += [formed.mant.eq(acc.mant << 1), formed.exp.eq(acc.exp - 1)]
        return formed.as_value()


def _is_legal(acc):
    magnitude = Mux(acc.mant < 0, -acc.mant, acc.mant)
    number = (magnitude >= 1 << 23) & (magnitude <= 1 << 24)
    zero = (acc.mant == 0) & (acc.exp == 0)
    return acc.inf | acc.nan | number | zero


class UpdateOf(wiring.Component):
    """One of the results of a `WUVELane` alone, with factors that may change from cycle to cycle.

    Parameters
    ----------
    result : str
        "weight" or "momentum".

    Members
    -------
    gradient, weight, momentum : In(32)
    masked : In(1)
    inverse_scale, masked_decay, decay, momentum_factor, rate : In(32)
    o : Out(32)

    Latency `latency` cycles, one element per cycle.
    """

    latency = WUVELane.latency

    def __init__(self, *, result: str):
        self._result = result
        words = ("gradient", "weight", "momentum", *FACTORS)
        super().__init__({name: In(32) for name in words} | {"masked": In(1), "o": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lane = lane = WUVELane()
        for name in ("gradient", "weight", "momentum", "masked"):
            m.d.comb += getattr(lane, name).eq(getattr(self, name))
        for name in FACTORS:
            wait = WUVELane.rate_delay if name == "rate" else 0
            m.d.comb += lane.factors[name].eq(delayed(m, getattr(self, name), wait))
        m.d.comb += self.o.eq(getattr(lane, f"new_{self._result}"))
        return m
