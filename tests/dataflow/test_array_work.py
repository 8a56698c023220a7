"""The closed form of what a plan gives the array, against operations one by one."""

import random

import numpy as np
import pytest

from sparsat.dataflow.array_work import ArraySize, Slots, Work, best_of_all, cycles_and_slots
from sparsat.dataflow.mapping import Mapping, Policy, mappings
from sparsat.hw.array_op import Order
from sparsat.hw.config import preset
from sparsat.hw.timing import array_cycles, sums_return

CONFIGS = (preset("tiny"), preset("small"), preset("vcu1525").with_(rows=20, depth=8))


def random_work(rng: random.Random) -> Work:
    parts = rng.choice([1, 1, 2, 5])
    return Work(
        times=rng.randint(1, 3),
        chunks=rng.randint(1, 4) if parts == 1 else 1,
        parts=parts,
        fresh=1 if parts == 1 else rng.randint(0, 1),
        p=rng.randint(1, 300),
        taps=rng.choice([0, 1, 3, 9]),
        k=rng.randint(1, 200),
        products=rng.randint(1, 3),
        q=rng.randint(1, 9),
    )


def operations(config, mapping: Mapping, work: Work) -> tuple[int, int]:
    """Cycles and slots, every operation timed on its own."""
    words = -(-work.k // mapping.m)
    groups, sets = max(work.taps * words, 1), work.products * -(-work.q // mapping.is_)
    least = mapping.least_period(words) if mapping.a_order is Order.K else 0
    cycles = slots = 0

    def operation(groups, tiles, resume):
        nonlocal cycles, slots
        op = mapping.op(groups, tiles, resume, least)
        cycles, slots = cycles + array_cycles(config, op), slots + groups * tiles

    for _ in range(work.times):
        if not mapping.os:
            for _ in range(work.chunks * work.parts * -(-groups // config.rows)):
                operation(-(-work.p // mapping.ir), sets, False)
            continue
        tiles = sets * -(-work.p // (config.rows * mapping.ir))
        if work.fresh:
            operation(groups, tiles * work.chunks, False)
        left = work.parts - work.fresh
        if left and sums_return(config, mapping.op(groups, tiles, True, least)):
            operation(groups, tiles * left, True)
        else:
            for _ in range(left):
                operation(groups, tiles, True)
    return cycles, slots


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("order", Order, ids=lambda order: order.name)
def test_work_takes_as_long_as_its_operations(config, order):
    rng = random.Random(7)
    size = ArraySize.of(config)
    for pattern in (None, (2, 8)) if order is Order.K else (None,):
        found = mappings(config, Policy(), pattern, order)
        for mapping in rng.sample(found, min(len(found), 60)):
            work = random_work(rng)
            expected = operations(config, mapping, work)
            assert cycles_and_slots(size, mapping.slots, work) == expected, (mapping, work)


def _estimate(size, mapping, works, moved):
    cycles = sum(cycles_and_slots(size, mapping, work)[0] for work in works)
    return max(cycles, moved[0]) + moved[1] + moved[2]


def test_the_best_is_the_least_of_all_mappings_and_plans():
    rng, config = random.Random(3), preset("small")
    found = mappings(config, Policy(), (2, 4), Order.K)
    size = ArraySize.of(config)
    for _ in range(20):
        plans = [[random_work(rng) for _ in range(rng.randint(1, 3))] for _ in range(4)]
        moved = [[rng.randint(0, 100_000), rng.randint(0, 99), rng.randint(0, 99)] for _ in plans]
        works = [(number, work) for number, plan in enumerate(plans) for work in plan]
        best = best_of_all(
            size,
            np.array([mapping.slots for mapping in found]),
            np.array([work for _, work in works]),
            np.array([number for number, _ in works]),
            np.array(moved),
        )
        estimates = {
            (i, number): _estimate(size, mapping.slots, plan, moved[number])
            for i, mapping in enumerate(found)
            for number, plan in enumerate(plans)
        }
        assert best.estimate == min(estimates.values())
        assert estimates[best.mapping, best.plan] == best.estimate
        slots = Slots(*found[best.mapping].slots)
        assert best.slots == sum(cycles_and_slots(size, slots, w)[1] for w in plans[best.plan])
