"""The generated Verilog of whole arrays: bit-exact sums, and cycles equal to the closed form."""

import numpy as np
import pytest

from array_cases import BFLOAT, PATTERNS, Case, cases, kinds, run
from sparsat.dataflow.array_gemm import ArrayGemm
from sparsat.hw.array_op import ACC_LOOP, Dataflow
from sparsat.hw.config import preset
from sparsat.hw.timing import array_cycles

TINY, SMALL = preset("tiny"), preset("small")
CASES = {
    config: list(cases(config, per_kind, seed=2))
    for config, per_kind in ((TINY, 12), (SMALL, 8), (BFLOAT, 8))
}


def is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


@pytest.mark.parametrize("config", CASES, ids=lambda config: config.name)
def test_the_cases_cover_every_kind(config):
    """The table pattern × dataflow × word orders, and every other choice somewhere in it."""
    covered = {
        (g.n, g.m, g.dataflow, g.a_order, g.b_order) for g in (case.gemm for case in CASES[config])
    }
    assert len(covered) == len(kinds()) == 50
    assert covered == {tuple(vars(kind).values()) for kind in kinds()}
    for dataflow in Dataflow:
        here = [case for case in CASES[config] if case.gemm.dataflow is dataflow]
        gemms = [case.gemm for case in here]
        assert len({(case.gemm.resume, case.stall > 0) for case in here}) == 4
        assert {c.operands for c in here if c.stall == 0} == {"normal", "wild", "special"}
        assert sum(g.ir * g.is_ < ACC_LOOP for g in gemms) > 10
        assert sum(not (is_power_of_two(g.ir) and is_power_of_two(g.is_)) for g in gemms) > 10
        assert sum(g.op.tiles > 2 for g in gemms) > 10
        assert sum(g.op.groups == 1 for g in gemms) > 1


def check(case: Case, got: np.ndarray, cycles: int, stall: float) -> None:
    np.testing.assert_array_equal(got, case.vectors.golden, err_msg=str(case))
    expected = array_cycles(case.gemm.config, case.gemm.op)
    assert cycles == expected or (stall and cycles > expected), case


@pytest.mark.parametrize(("n", "m"), PATTERNS)
@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
@pytest.mark.parametrize("config", CASES, ids=lambda config: config.name)
def test_sums_and_cycles(array_model, config, dataflow, n, m):
    chosen = [
        case
        for case in CASES[config]
        if (case.gemm.dataflow, case.gemm.n, case.gemm.m) == (dataflow, n, m)
    ]
    assert chosen
    for case in chosen:
        (got,), (cycles,) = run(array_model(config), [case], case.stall)
        check(case, got, cycles, case.stall)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", CASES, ids=lambda config: config.name)
def test_operations_follow_each_other(array_model, config, stall):
    """Nothing of an operation is left in the array when the next, of another kind, is taken."""
    order = np.random.default_rng(3).permutation(len(CASES[config]))[:40]
    chosen = [CASES[config][i] for i in order]
    sums, cycles = run(array_model(config), chosen, stall)
    for case, got, took in zip(chosen, sums, cycles, strict=True):
        check(case, got, took, stall)


def one_tile(dataflow: Dataflow, n: int, m: int, ir: int, is_: int, resume: bool) -> Case:
    """One slot (OS) or one set of weights on a few cells."""
    gemm = ArrayGemm(
        config=BFLOAT,
        p=BFLOAT.rows * ir,
        q=BFLOAT.cols * is_,
        k=m if dataflow is Dataflow.OS else m * BFLOAT.rows,
        dataflow=dataflow,
        n=n,
        m=m,
        ir=ir,
        is_=is_,
        resume=resume,
    )
    return Case(gemm, "normal", 0.0, seed=5)


@pytest.mark.parametrize(
    "before",
    [
        one_tile(Dataflow.OS, 1, 16, 4, 1, resume=False),  # over before its slot's 64 cycles are
        one_tile(Dataflow.OS, 1, 4, 4, 8, resume=True),  # … or the 128 of its sums' way
    ],
    ids=["slot", "sums"],
)
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
def test_nothing_counts_on_when_an_operation_is_over(array_model, before, dataflow, resume):
    chosen = [before, one_tile(dataflow, 2, 8, 4, 4, resume)]
    sums, cycles = run(array_model(BFLOAT), chosen)
    for case, got, took in zip(chosen, sums, cycles, strict=True):
        check(case, got, took, 0.0)


def cycles_of(model, dataflow, n, m, ir, is_, groups, tiles=1, resume=False) -> int:
    """Measured cycles of an operation on zeros."""
    config = model.config
    os = dataflow is Dataflow.OS
    gemm = ArrayGemm(
        config=config,
        p=config.rows * ir * tiles if os else groups * ir,
        q=config.cols * is_ * (1 if os else tiles),
        k=m * (groups if os else config.rows),
        dataflow=dataflow,
        n=n,
        m=m,
        ir=ir,
        is_=is_,
        resume=resume,
    )
    assert (gemm.op.groups, gemm.op.tiles) == (groups, tiles)
    (_,), (cycles,) = run(model, [Case(gemm, "normal", 0.0, seed=4)])
    return int(cycles)


FULL_RATE = [
    (TINY, 2, 8, 4, 4),
    (TINY, 8, 8, 4, 4),
    (TINY, 1, 16, 2, 8),
    (TINY, 5, 16, 1, 6),
    (SMALL, 2, 8, 4, 4),
    (SMALL, 8, 8, 4, 4),
    (SMALL, 1, 8, 2, 8),
    (SMALL, 3, 8, 2, 3),
    (SMALL, 2, 4, 3, 5),
    (SMALL, 4, 8, 1, 7),
    (SMALL, 8, 8, 2, 2),
    (SMALL, 16, 16, 2, 2),
    (TINY, 2, 4, 1, 5),
    (SMALL, 2, 2, 3, 5),
]
SLOWER = [  # with the cycles that a slot takes instead
    (SMALL, 1, 16, 2, 8, 32),  # the link: 32 values of A for 16 multiplications
    (SMALL, 2, 8, 2, 3, 16),
    (TINY, 1, 8, 4, 2, 16),
    (TINY, 3, 8, 1, 3, 12),  # the adder: 4 cycles for a round of 3
    (TINY, 2, 4, 1, 3, 8),
    (SMALL, 16, 16, 1, 2, 64),
    (SMALL, 8, 8, 1, 1, 32),
    (SMALL, 3, 8, 2, 1, 16),  # the adder would take 12, the link takes 16
]


@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
@pytest.mark.parametrize(("config", "n", "m", "ir", "is_"), FULL_RATE)
def test_every_cell_multiplies_in_every_cycle(array_model, config, dataflow, n, m, ir, is_):
    few, many = (
        cycles_of(array_model(config), dataflow, n, m, ir, is_, groups) for groups in (10, 31)
    )
    assert many - few == 21 * n * ir * is_


@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
@pytest.mark.parametrize(("config", "n", "m", "ir", "is_", "slot"), SLOWER)
def test_link_and_adder_limit_the_rate(array_model, config, dataflow, n, m, ir, is_, slot):
    few, many = (
        cycles_of(array_model(config), dataflow, n, m, ir, is_, groups) for groups in (10, 31)
    )
    assert many - few == 21 * slot


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
def test_tiles_follow_without_a_bubble(array_model, dataflow, resume):
    few, many = (
        cycles_of(array_model(SMALL), dataflow, 2, 8, 4, 4, 12, tiles, resume) for tiles in (3, 8)
    )
    assert many - few == 5 * 12 * 2 * 4 * 4


def test_a_tile_waits_for_the_sums_of_the_one_before(array_model):
    """Two slots of 16 cycles make 8 · 16 sums for a column: its link limits."""
    few, many = (
        cycles_of(array_model(SMALL), Dataflow.OS, 1, 8, 2, 8, 2, tiles) for tiles in (3, 8)
    )
    assert many - few == 5 * 8 * 16


def test_weights_wait_for_the_columns(array_model):
    """New weights take a slot's time for each row to come down, more than three slots."""
    few, many = (
        cycles_of(array_model(SMALL), Dataflow.WS, 2, 8, 4, 4, 3, tiles) for tiles in (3, 8)
    )
    assert many - few == 5 * 8 * 2 * 4 * 4
