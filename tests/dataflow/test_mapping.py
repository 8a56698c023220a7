"""The mapping found is the best of all there are."""

import itertools

import pytest

from sparsat.dataflow.mapping import best_mapping
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import GROUP_SIZES, preset
from sparsat.hw.timing import array_cycles

SHAPES = [(5, 7, 9), (64, 24, 96), (130, 40, 16), (300, 9, 200)]


def brute_force(config, shape, products, pattern, order, resume) -> int:
    """Cycles of the best legal operation, trying every interleave that `validate` lets through."""
    p, q, k = shape
    found = []
    for m, n, flow, ir, is_ in itertools.product(
        GROUP_SIZES, range(1, 17), Dataflow, range(1, 17), range(1, 17)
    ):
        if (n, m) != pattern if pattern else n != m:
            continue
        groups = -(-k // m)
        columns = -(-q // (config.cols * is_)) * products
        slots, tiles, passes = groups, columns * -(-p // (config.rows * ir)), 1
        if flow is Dataflow.WS:
            slots, tiles, passes = -(-p // ir), columns, -(-groups // config.rows)
        cycles = 0
        try:
            for number in range(passes):
                op = ArrayOp(
                    **dict(dataflow=flow, n=n, m=m, ir=ir, is_=is_, groups=slots, tiles=tiles),
                    **dict(a_order=order, b_order=order, resume=resume or number > 0),
                )
                op.validate(config)
                cycles += array_cycles(config, op)
        except ValueError:
            continue
        found.append(cycles)
    return min(found)


@pytest.mark.parametrize("name", ["tiny", "small", "vcu1525"])
@pytest.mark.parametrize("pattern", [None, (2, 8), (1, 4)])
@pytest.mark.parametrize("shape", SHAPES)
def test_optimum_equals_brute_force(name, pattern, shape) -> None:
    config = preset(name)
    case = (shape, 3, pattern, Order.K, False)
    found = best_mapping(config, SCHEDULES["optimal"].policy, *case)
    assert found.cycles == brute_force(config, *case)


def test_other_policies_are_never_better() -> None:
    config = preset("vcu1525")
    for schedule, shape in itertools.product(SCHEDULES.values(), SHAPES):
        case = (shape, 1, (2, 8), Order.K, False)
        best = best_mapping(config, SCHEDULES["optimal"].policy, *case)
        assert best_mapping(config, schedule.policy, *case).cycles >= best.cycles
