"""Programs of single layers do what the golden model says, whatever the shape and the schedule."""

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.pair import PairPlan
from sparsat.dataflow.reduce import ReducePlan
from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.dataflow.spread import SpreadPlan
from sparsat.hw.config import preset
from sparsat.sim.values import check_step
from steps import CONFIGS, SHORT, conv_step, convs, product_step

properties = settings(max_examples=60, deadline=None)


def differences(config, step, schedule="optimal", pattern=(2, 8)):
    try:
        scheduled = schedule_step(config, step, SCHEDULES[schedule], pattern)
    except ValueError as error:
        if config not in (CONFIGS["narrow"], SHORT) or "does not fit" not in str(error):
            raise
        reject()
    return [str(found) for found in check_step(config, scheduled) if found]


@properties
@given(convs(), st.sampled_from(sorted(CONFIGS)), st.sampled_from(sorted(SCHEDULES)))
def test_dense_layers_of_any_shape(work, config, schedule):
    assert differences(CONFIGS[config], conv_step(work), schedule, None) == []


@properties
@given(
    convs(),
    st.sampled_from(sorted(CONFIGS)),
    st.sampled_from(sorted(SCHEDULES)),
    st.sampled_from([(2, 8), (1, 4), (2, 4), (3, 8), (4, 16), (1, 16)]),
)
def test_pruned_layers(work, config, schedule, pattern):
    m = pattern[1]
    work = Conv(
        work.n, work.h, work.w, -(-work.ci // m) * m, work.oh, work.ow, -(-work.co // m) * m,
        work.kh, work.kw, work.stride, work.padding, work.dilation,
    )  # fmt: skip
    assert differences(CONFIGS[config], conv_step(work), schedule, pattern) == []


@properties
@given(convs(), st.sampled_from(sorted(CONFIGS)))
def test_the_first_layer_reads_patches(work, config):
    assert differences(CONFIGS[config], conv_step(work, first=True)) == []


@properties
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(*(st.integers(1, 40),) * 3),
    st.sampled_from([(False, False), (False, True), (True, False), (True, True)]),
    st.sampled_from([CONFIGS["tiny"], CONFIGS["small"], SHORT]),
    st.sampled_from(["optimal", "ws", "no-interleave"]),
)
def test_attention(images, heads, sizes, turned, config, schedule):
    p, k, q = sizes
    work = MatMul(images * heads, p, k, q, *turned)
    step = product_step(work, images)
    assert differences(config, step, schedule, None) == []


@pytest.mark.parametrize("schedule", ["os", "ws"])
@pytest.mark.parametrize(
    ("work", "chained"),
    [
        (MatMul(4, 35, 20, 70, False, True), False),
        (MatMul(4, 35, 70, 20), False),
        (MatMul(1, 50, 37, 20, True, False), True),
        (MatMul(4, 50, 32, 20, True, False), True),
    ],
    ids=["scores", "mix", "gradient", "gradient, no rest"],
)
def test_a_head_that_does_not_fit_is_cut_into_rows(work, chained, schedule):
    """A half of A holds 512 values: 16 rows of 32, 6 of 80, 8 of 64."""
    step = product_step(work, 1)
    assert differences(SHORT, step, schedule, None) == []
    plan = schedule_step(SHORT, step, SCHEDULES[schedule], None).plans[0].plan
    assert isinstance(plan, PairPlan)
    assert plan.rows is not None
    assert plan.chained == chained


@pytest.mark.parametrize("schedule", ["optimal", "ws", "online-sore"])
def test_a_wide_linear_layer_is_cut_along_its_reduction_and_its_gradient_in_both_directions(
    schedule,
):
    config, step = CONFIGS["narrow"], conv_step(Conv(50, 1, 1, 1040, 1, 1, 600))
    assert differences(config, step, schedule) == []
    plans = [
        planned.plan for planned in schedule_step(config, step, SCHEDULES[schedule], (2, 8)).plans
    ]
    forward, backward, gradient = plans[:3]
    for plan in (forward, backward):
        assert isinstance(plan, SpreadPlan)
        assert plan.cut
        assert plan.width > 1
        assert plan.parts > 1
    assert isinstance(gradient, ReducePlan)
    assert gradient.cut
    assert {block.first_in for block in gradient.blocks} > {0}
    assert {block.first_q for block in gradient.blocks} > {0}


def test_columns_whose_rows_are_no_whole_lines():
    """270 kept rows of 8 columns: blocks of columns begin at lines all the same."""
    work = Conv(1, 3, 3, 56, 3, 3, 72, 3, 3, (1, 1), (1, 1))
    assert differences(CONFIGS["small"], conv_step(work), "no-interleave", (3, 8)) == []


def test_a_transposed_convolution():
    work = Conv(2, 4, 4, 24, 8, 8, 16, 4, 4, (2, 2), (1, 1), transposed=True)
    assert differences(CONFIGS["tiny"], conv_step(work)) == []


def test_a_narrow_machine_cuts_every_way():
    """The shapes above are of use only if the narrow configuration makes for cuts of each kind."""
    config = CONFIGS["narrow"]
    work = Conv(2, 9, 9, 80, 9, 9, 80, 3, 3, (1, 1), (1, 1))
    plans = [
        planned.plan
        for planned in schedule_step(config, conv_step(work), SCHEDULES["optimal"], None).plans
        if planned.plan
    ]
    forward, _, gradient = plans
    assert isinstance(forward, SpreadPlan)
    assert isinstance(gradient, ReducePlan)
    assert forward.slabs.rows is not None
    assert forward.parts > 1
    assert gradient.rows is not None
    assert len(gradient.blocks) > 1


def test_groups_of_two_let_a_stems_gradient_fill_the_array():
    """64 × 147 outputs take five blocks of columns: Is = 5 needs N of at most 16 / 5."""
    work = Conv(64, 224, 224, 3, 112, 112, 64, 7, 7, (2, 2), (3, 3))
    step = conv_step(work, first=True)
    plans = schedule_step(preset("vcu1525"), step, SCHEDULES["optimal"], (2, 8)).plans
    (gradient,) = (each.plan for each in plans if isinstance(each.plan, ReducePlan))
    mapping = gradient.mapping
    assert (mapping.n, mapping.m, mapping.is_) == (2, 2, 5)


def test_a_reduction_over_an_odd_number_of_channels_is_cut():
    """As of a language model's head, whose outputs are the words it knows."""
    step = conv_step(Conv(3, 1, 1, 16, 1, 1, 1001), head=True)
    assert differences(CONFIGS["narrow"], step) == []
    backward = schedule_step(CONFIGS["narrow"], step, SCHEDULES["optimal"], None).plans[1].plan
    assert isinstance(backward, SpreadPlan)
    assert backward.parts > 1


@pytest.mark.parametrize("field", ["a_scratch_kib", "b_scratch_kib", "c_scratch_kib"])
def test_a_layer_that_does_not_fit_is_named(field):
    config = preset("tiny").with_(**{field: 1})
    work = Conv(1, 64, 64, 512, 64, 64, 512, 3, 3, (1, 1), (1, 1))
    with pytest.raises(ValueError, match=r"layer/.. does not fit config tiny: "):
        schedule_step(config, conv_step(work), SCHEDULES["optimal"], (2, 8))
