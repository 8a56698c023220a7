"""The counters against a model in plain Python, with random givers and takers."""

import random

import pytest

from blocks import simulate
from sparsat.hw.isa.instructions import SEM_MAX, SEM_START, Opcode, Sem
from sparsat.hw.semaphores import ENGINES, Semaphores

GIVES = {
    "load_a": {Sem.A_FULL},
    "load_b": {Sem.B_FULL},
    "exec": {Sem.A_FREE, Sem.B_FREE, Sem.C_FULL},
    "store": {sem for sem in Sem if sem.name.startswith("STORE_TO")} | {Sem.C_FREE},
    "update": set(),
    "vector": {sem for sem in Sem if sem.name.startswith("VECTOR_TO")},
}
HALVES = {
    "load_a": {Sem.A_FREE},
    "load_b": {Sem.B_FREE},
    "exec": {Sem.A_FULL, Sem.B_FULL, Sem.C_FREE},
    "store": {Sem.C_FULL},
    "update": set(),
    "vector": set(),
}
WAITS = {name: {sem for sem in Sem if sem.name.endswith("_TO_" + name.upper())} for name in HALVES}


def mask(sems) -> int:
    return sum(1 << sem for sem in sems)


def subset(rng: random.Random, sems: set[Sem], chance: float) -> set[Sem]:
    return {sem for sem in sorted(sems) if rng.random() < chance}


def test_every_engine_has_a_port():
    assert {engine.name.lower() for engine in ENGINES} == GIVES.keys() == HALVES.keys()
    assert Opcode.HALT not in ENGINES


@pytest.mark.parametrize("often", [0.15, 0.3])
def test_masks_are_taken_whole_or_not_at_all(often):
    dut, rng, answers = Semaphores(), random.Random(often), []
    counts = dict.fromkeys(Sem, 0) | SEM_START

    async def testbench(ctx):
        for _ in range(600):
            wanted = {}
            for name in GIVES:
                port = getattr(dut, name)
                given = subset(rng, GIVES[name], often)
                waits, takes = subset(rng, WAITS[name], 0.4), subset(rng, HALVES[name], 0.4)
                ctx.set(port.give, mask(given))
                ctx.set(port.wait, mask(waits))
                ctx.set(port.take, mask(takes))
                for sem in given:
                    counts[sem] += 1
                wanted[name] = waits, takes
            for name, (waits, takes) in wanted.items():
                port = getattr(dut, name)
                for sems, answer in ((waits, port.waited), (takes, port.taken)):
                    there = all(counts[sem] for sem in sems)
                    assert ctx.get(answer) == there, (name, sems)
                    answers.append(there)
                    for sem in sems if there else ():
                        counts[sem] -= 1
            assert ctx.get(dut.overflow) == 0
            await ctx.tick()

    simulate(dut, testbench)
    assert min(answers.count(True), answers.count(False)) > 100


def test_a_semaphore_beyond_its_limit_is_named():
    dut = Semaphores()

    async def testbench(ctx):
        ctx.set(dut.vector.give, 1 << Sem.VECTOR_TO_UPDATE)
        for _ in range(SEM_MAX):
            assert ctx.get(dut.overflow) == 0
            await ctx.tick()
        assert ctx.get(dut.overflow) == 1 << Sem.VECTOR_TO_UPDATE
        ctx.set(dut.update.wait, 1 << Sem.VECTOR_TO_UPDATE)
        assert ctx.get(dut.overflow) == 1 << Sem.VECTOR_TO_UPDATE

    simulate(dut, testbench)


def test_foreign_bits_are_not_taken():
    dut = Semaphores()

    async def testbench(ctx):
        ctx.set(dut.load_b.take, mask({Sem.B_FREE, Sem.A_FREE}))
        assert ctx.get(dut.load_b.taken) == 1
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.load_b.taken) == 0
        ctx.set(dut.load_a.take, mask({Sem.A_FREE}))
        assert ctx.get(dut.load_a.taken) == 1

    simulate(dut, testbench)
