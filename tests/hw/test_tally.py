"""Counters that know beforehand, and the queue, beside plain counting."""

import random
from collections import deque

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blocks import simulate
from sparsat.hw.fifo import Queue
from sparsat.hw.tally import tally, turns

MOST = 5


class Counters(wiring.Component):
    come: In(1)
    go: In(1)
    many: Out(MOST)
    step: In(1)
    count: In(4)
    last: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.many.eq(tally(m, self.come, self.go, MOST)),
            self.last.eq(turns(m, self.step, self.count, "turn")),
        ]
        return m


def test_a_tally_has_a_bit_for_each():
    dut, rng, held = Counters(), random.Random(1), 0

    async def testbench(ctx):
        nonlocal held
        for _ in range(500):
            go = held > 0 and rng.random() < 0.5
            come = held - go < MOST and rng.random() < 0.6
            ctx.set(dut.come, come)
            ctx.set(dut.go, go)
            assert ctx.get(dut.many) == (1 << held) - 1
            await ctx.tick()
            held += come - go

    simulate(dut, testbench)


def test_the_last_turn_is_known_whatever_their_number():
    dut, rng = Counters(), random.Random(2)

    async def testbench(ctx):
        for _ in range(60):
            count = rng.choice([1, 2, 3, 15])
            ctx.set(dut.count, count)
            ctx.set(dut.step, 0)
            await ctx.tick()
            for turn in range(count * rng.choice([1, 2])):
                while rng.random() < 0.3:
                    ctx.set(dut.step, 0)
                    await ctx.tick()
                assert ctx.get(dut.last) == (turn % count == count - 1)
                ctx.set(dut.step, 1)
                await ctx.tick()

    simulate(dut, testbench)


def test_a_queue_is_full_and_empty_when_it_is():
    for depth in (2, 8):
        for refill in (False, True):
            _check_queue(depth, refill, random.Random(depth))


def _check_queue(depth: int, refill: bool, rng: random.Random) -> None:
    dut, held = Queue(shape=8, depth=depth, refill=refill), deque[int]()

    async def testbench(ctx):
        for number in range(400):
            eager = number // 40 % 2
            word, take = rng.randrange(256), rng.random() < (0.8, 0.2)[eager]
            offer = rng.random() < (0.2, 0.8)[eager]
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, offer)
            ctx.set(dut.o.ready, take)
            assert ctx.get(dut.o.valid) == bool(held)
            assert ctx.get(dut.i.ready) == (len(held) < depth or (refill and take))
            if held:
                assert ctx.get(dut.o.payload) == held[0]
            enters = offer and ctx.get(dut.i.ready)
            if held and take:
                held.popleft()
            if enters:
                held.append(word)
            await ctx.tick()

    simulate(dut, testbench)
