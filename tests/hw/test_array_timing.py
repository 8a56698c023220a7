"""Properties of the closed form; that it is the hardware's is tested in `test_array.py`."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from array_cases import interleaves
from sparsat.hw.array_op import ACC_LOOP, ArrayOp, Dataflow
from sparsat.hw.config import PRESETS, SATConfig
from sparsat.hw.timing import array_cycles


@st.composite
def operations(draw) -> tuple[SATConfig, ArrayOp]:
    config = draw(st.sampled_from(list(PRESETS.values())))
    config = config.with_(a_link=draw(st.sampled_from([1, 2])))
    m = draw(st.sampled_from([4, 8, 16]))
    n = draw(st.integers(1, m))
    ir, is_ = draw(st.sampled_from(interleaves(config, n, m)))
    return config, ArrayOp(
        dataflow=draw(st.sampled_from(Dataflow)),
        n=n,
        m=m,
        ir=ir,
        is_=is_,
        groups=draw(st.integers(1, 200)),
        tiles=draw(st.integers(1, 50)),
        resume=draw(st.booleans()),
        least_period=draw(st.sampled_from([0, 0, 1, 50, 255])),
    )


def extra(config: SATConfig, op: ArrayOp, groups: int = 0, tiles: int = 0) -> int:
    """Cycles that more groups or tiles cost."""
    longer = replace(op, groups=op.groups + groups, tiles=op.tiles + tiles)
    return array_cycles(config, longer) - array_cycles(config, op)


properties = settings(derandomize=True, deadline=None, max_examples=300)


@properties
@given(operations())
def test_more_groups_or_tiles_never_take_less_time(case):
    config, op = case
    assert extra(config, op, groups=1) >= 0
    assert extra(config, op, tiles=1) > 0


@properties
@given(operations(), st.integers(1, 100))
def test_a_slot_more_is_a_period_more_where_nothing_else_limits(case, more):
    config, op = case
    long = replace(op, groups=op.groups + (config.rows + 1) * config.depth)
    assert extra(config, long, groups=more) == more * long.tiles * op.period(config)
    assert extra(config, long, tiles=more) == more * long.groups * op.period(config)


@properties
@given(operations())
def test_no_operation_multiplies_more_than_once_per_cycle(case):
    config, op = case
    assert op.macs_per_cell() < array_cycles(config, op)


@properties
@given(operations())
def test_the_period_is_what_the_slowest_part_takes(case):
    config, op = case
    period, values = op.period(config), op.ir * op.m
    load_a = -(-values // config.a_link)
    limits = (op.n * op.interleave, op.n * ACC_LOOP, load_a, op.least_period)
    assert period == max(limits)
    assert period >= op.load_b


@properties
@given(operations())
def test_resuming_costs_time_only_at_the_start_and_while_sums_leave(case):
    config, op = case
    plain, resumed = (array_cycles(config, replace(op, resume=r)) for r in (False, True))
    passes = 2 * (config.rows + 1) * op.interleave + op.tiles * op.interleave + 1
    assert 0 <= resumed - plain <= (passes if op.dataflow is Dataflow.OS else 0)
