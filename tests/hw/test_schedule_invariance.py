"""Whatever schedule a GEMM follows on the array, its bits are the golden model's."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from array_cases import bits_of, interleaves, operand_bits, sum_bits, tensor
from sparsat.algo.golden import gemm
from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.array_gemm import ArrayGemm, GroupedB
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import DENSE_GROUP_SIZES, preset

TINY = preset("tiny")
K = 64


class Groups(NMPattern):
    """A pattern in groups of any size that the array runs."""

    sizes = DENSE_GROUP_SIZES


@dataclass(frozen=True)
class Schedule:
    """How a GEMM with K = 64 runs: `passes` are the lengths along K of its operations."""

    dataflow: Dataflow
    pattern: NMPattern
    ir: int
    is_: int
    a_order: Order
    b_order: Order
    passes: tuple[int, ...]


@st.composite
def schedules(draw, pattern: NMPattern) -> Schedule:
    """Any schedule of the pattern; a dense one may take any group size."""
    if pattern.is_dense:
        pattern = Groups(*[draw(st.sampled_from(DENSE_GROUP_SIZES))] * 2)
    dataflow = draw(st.sampled_from(Dataflow))
    ir, is_ = draw(st.sampled_from(interleaves(TINY, pattern.n_keep, pattern.m)))
    orders = st.sampled_from(list(Order) if pattern.is_dense else [Order.K])
    most = TINY.rows if dataflow is Dataflow.WS else K // pattern.m
    passes: list[int] = []
    while (left := K // pattern.m - sum(passes)) > 0:
        passes.append(draw(st.integers(1, min(left, most))))
    lengths = tuple(pattern.m * groups for groups in passes)
    return Schedule(dataflow, pattern, ir, is_, draw(orders), draw(orders), lengths)


@st.composite
def problems(draw):
    """A sparse or dense GEMM, whether it starts from C, and three schedules of it."""
    m = draw(st.sampled_from([4, 8, 16]))
    pattern = NMPattern(draw(st.integers(1, m)), m)
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["integer", "normal", "wild", "special"]))
    seed = draw(st.integers(0, 1 << 31))
    return (
        shape,
        pattern,
        kind,
        seed,
        draw(st.booleans()),
        [draw(schedules(pattern)) for _ in range(3)],
    )


def random_operands(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> torch.Tensor:
    if kind == "integer":
        return torch.from_numpy(rng.integers(-99, 100, shape)).half()
    return tensor(operand_bits(rng, TINY.fmt, shape, kind), TINY.fmt)


def run_schedule(
    model, schedule: Schedule, a: torch.Tensor, b: torch.Tensor, c: np.ndarray | None
) -> np.ndarray:
    """The sums' bits after all passes, each of which resumes from those of the one before."""
    pattern, begin = schedule.pattern, 0
    for length in schedule.passes:
        part = slice(begin, begin + length)
        values, indices = pattern.pack(b[part], dim=0)
        if pattern.is_dense:
            indices = torch.zeros_like(indices)
        gemm_ = ArrayGemm(
            config=model.config,
            p=len(a),
            q=b.shape[1],
            k=length,
            dataflow=schedule.dataflow,
            n=pattern.n_keep,
            m=pattern.m,
            ir=schedule.ir,
            is_=schedule.is_,
            a_order=schedule.a_order,
            b_order=schedule.b_order,
            resume=c is not None,
        )
        words = gemm_.streams(
            a[:, part].view(torch.uint16).numpy(),
            GroupedB(values.contiguous().view(torch.uint16).numpy(), indices.numpy()),
            c,
        )
        c = gemm_.outputs(model.run([gemm_.op], words).sums)
        begin += length
    assert c is not None
    return c


@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(problem=problems())
def test_all_schedules_give_the_golden_bits(array_model, problem):
    (p, q), pattern, kind, seed, starts_from_c, chosen = problem
    rng = np.random.default_rng(seed)
    a, b = random_operands(rng, (p, K), kind), random_operands(rng, (K, q), kind)
    c = sum_bits(rng, (p, q), kind) if starts_from_c else None
    start = None if c is None else torch.from_numpy(c.view(np.float32))
    golden = bits_of(gemm(a, b, start, pattern.mask(b, dim=0)))
    for schedule in chosen:
        got = run_schedule(array_model(TINY), schedule, a, b, c)
        np.testing.assert_array_equal(got, golden, err_msg=str(schedule))


@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
def test_adding_partial_sums_would_differ(array_model, dataflow):
    """The property has teeth: a sum of two separate halves has other bits."""
    rng = np.random.default_rng(5)
    a, b = random_operands(rng, (16, K), "normal"), random_operands(rng, (K, 16), "normal")
    dense = NMPattern(4, 4)
    halves = [
        run_schedule(
            array_model(TINY),
            Schedule(dataflow, dense, 4, 4, Order.K, Order.K, (16,) * 2),
            a[:, part],
            b[part],
            None,
        ).view(np.float32)
        for part in (slice(0, 32), slice(32, 64))
    ]
    assert (halves[0] + halves[1]).view(np.uint32).tolist() != bits_of(gemm(a, b)).tolist()
