"""Numbers in mixed radix, step by step, against division."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blocks import simulate
from sparsat.hw.counter import Counter
from sparsat.hw.digits import DIGIT, Digits

STEPS = 200
SETTLE = 2


class Steps(wiring.Component):
    """Goes on from `begin`, or from 0, when told to."""

    count0: In(DIGIT)
    count1: In(DIGIT)
    size: In(4)
    begin: In(Digits.LAYOUT)
    load: In(1)
    clear: In(1)
    by: Out(4)
    now: Out(Counter.LAYOUT)

    def elaborate(self, platform):
        m = Module()
        counter = Counter(m, (self.count0, self.count1), self.size)
        m.d.comb += self.by.eq(counter.by(self.now))
        m.d.sync += self.now.eq(counter.after(self.now))
        with m.If(self.load):
            m.d.sync += self.now.eq(counter.of(self.begin))
        with m.If(self.clear):
            m.d.sync += self.now.eq(counter.zero())
        return m


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_digits_are_those_of_the_number(size):
    rng = random.Random(size)

    async def testbench(ctx):
        for case in range(12):
            counts = size * rng.randint(1, 4), rng.randint(1, 4)
            number = rng.randrange(100) if case % 2 else 0
            for port, value in ((dut.count0, counts[0]), (dut.count1, counts[1]), (dut.size, size)):
                ctx.set(port, value)
            ctx.set(dut.begin, digits(number, counts))
            ctx.set(dut.load, number != 0)
            ctx.set(dut.clear, number == 0)
            await ctx.tick().repeat(SETTLE + 1)
            ctx.set(dut.load, 0)
            ctx.set(dut.clear, 0)
            for _ in range(STEPS):
                found = ctx.get(dut.now)
                assert {name: found[name] for name in digits(0, counts)} == digits(number, counts)
                assert ctx.get(dut.by) == size - number % counts[0] % size
                number += ctx.get(dut.by)
                await ctx.tick()

    dut = Steps()
    simulate(dut, testbench)


def digits(number: int, counts: tuple[int, int]) -> dict[str, int]:
    rest, d0 = divmod(number, counts[0])
    d2, d1 = divmod(rest, counts[1])
    return {"d0": d0, "d1": d1, "d2": d2, "whole": number}
