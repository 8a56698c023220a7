"""WUVE, the weight-update vector engine: one lane of momentum SGD in binary32."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.add32 import AddWord
from sparsat.hw.float.delay import delayed
from sparsat.hw.float.multiply32 import Multiply32
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.formats import FP32

FACTORS = ("inverse_scale", "masked_decay", "decay", "momentum_factor", "rate")

_LINK = AddWord.link_latency
_LEAVES = Multiply32.latency + LoadAccumulator.latency + 3 * _LINK + StoreAccumulator.latency
"""Cycles from an element to its new momentum."""


class WUVELane(wiring.Component):
    """The new weight and momentum of one element per cycle.

    Each operation is rounded to binary32, in this order:

        g = gradient * inverse_scale
        g = g + masked_decay * weight      where `masked`
        g = g + decay * weight
        v = momentum_factor * momentum + g
        w = weight - rate * v

    Subnormals are read as +0, results below the smallest normal number are +0, as is every zero;
    NaN is the canonical one. Between sums the gradient stays an accumulator.

    Members
    -------
    gradient, weight, momentum : In(32)
    masked : In(1)
        Adding the masked decay is due: the forward mask drops this weight.
    factors : In(struct of FACTORS, 32 bits each)
        Those that stand there with an element, but `rate` `rate_delay` cycles later.
    new_weight, new_momentum : Out(32)
    overflow : Out(1)
        The gradient was infinite or NaN.

    Latency `latency` cycles, all outputs of an element together; one element per cycle. 10 DSP
    slices.
    """

    rate_delay = _LEAVES
    latency = _LEAVES + Multiply32.latency + AddWord.latency + StoreAccumulator.latency

    gradient: In(32)
    weight: In(32)
    momentum: In(32)
    masked: In(1)
    factors: In(StructLayout(dict.fromkeys(FACTORS, 32)))
    new_weight: Out(32)
    new_momentum: Out(32)
    overflow: Out(1)

    def elaborate(self, platform):
        m = Module()
        factors = self.factors

        def product(name, a, b):
            m.submodules[name] = unit = Multiply32()
            m.d.comb += [unit.a.eq(a), unit.b.eq(b)]
            return unit.o

        def total(name, c, a):
            """`a` is a word, of one cycle before the accumulator `c`."""
            m.submodules[name] = unit = AddWord()
            m.d.comb += [unit.a.eq(a), unit.c.eq(c)]
            return unit.o

        def loaded(name, word):
            m.submodules[name] = unit = LoadAccumulator()
            m.d.comb += unit.i.eq(word)
            return unit.o

        def stored(name, acc):
            m.submodules[name] = unit = StoreAccumulator()
            m.d.comb += unit.i.eq(acc)
            return unit.o

        scaled = loaded("scaled", product("scale", self.gradient, factors.inverse_scale))
        masked_decay = product("masked_decay", factors.masked_decay, self.weight)
        masked = delayed(m, self.masked, Multiply32.latency)
        decay = product("decay", factors.decay, self.weight)
        old_momentum = product("old_momentum", factors.momentum_factor, self.momentum)

        g = total("add_masked_decay", scaled, masked_decay & masked.replicate(32))
        g = total("add_decay", g, delayed(m, decay, _LINK))
        v = total("add_momentum", g, delayed(m, old_momentum, 2 * _LINK))
        momentum = stored("store_momentum", v)

        step = product("step", factors.rate, momentum)
        weight = delayed(m, self.weight, _LEAVES + Multiply32.latency)
        w = total("take_step", loaded("old_weight", weight), Cat(step[:-1], ~step[-1]))
        rest = self.latency - _LEAVES
        not_finite = self.gradient[FP32.frac_bits : -1].all()
        m.d.comb += [
            self.new_weight.eq(stored("store_weight", w)),
            self.new_momentum.eq(delayed(m, momentum, rest)),
            self.overflow.eq(delayed(m, not_finite, self.latency)),
        ]
        return m
