"""The array as Amaranth components: in Amaranth's simulator, and against the emitted form."""

import random

import numpy as np
import pytest

from array_cases import Case, cases, run
from blocks import simulate
from sparsat.hw import row_head, stce
from sparsat.hw.array_op import Dataflow
from sparsat.hw.config import preset
from sparsat.hw.request import encode_request
from sparsat.hw.stce import STCE
from sparsat.hw.timing import array_cycles
from sparsat.hw.tools import array_model as array_model_module
from sparsat.hw.tools.array_model import ArrayModel
from sparsat.hw.tools.verilog import to_verilog

TWO = preset("tiny").with_(
    name="two", rows=2, cols=2, sore_lanes=2, wuve_lanes=2, m_max=8, depth=8, a_regs=16, b_regs=16
)


def small_cases(dataflow: Dataflow, count: int) -> list[Case]:
    """Short ones of the configuration's cases."""
    found = [
        case
        for case in cases(TWO, 4, seed=6)
        if case.gemm.dataflow is dataflow and array_cycles(TWO, case.gemm.op) < 300
    ]
    assert len(found) >= count
    return [found[i] for i in np.random.default_rng(7).permutation(len(found))[:count]]


def simulate_array(case: Case, stall: float) -> tuple[np.ndarray, int]:
    """Sums [P, Q] and cycles of one operation; words that nobody asks for are noise."""
    dut, rng = STCE(config=TWO), random.Random(case.seed)
    streams = case.vectors.streams
    inputs = [
        (getattr(dut, f"{kind}_{n}"), getattr(dut, f"{kind}_ready_{n}"), iter(words.tolist()))
        for kind in "abc"
        for n, words in enumerate(getattr(streams, kind))
    ]
    outputs = [(getattr(dut, f"o_{c}"), getattr(dut, f"o_valid_{c}")) for c in range(TWO.cols)]
    sums: list[list[int]] = [[] for _ in outputs]
    cycles = 0

    async def testbench(ctx):
        nonlocal cycles
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, dut.i.payload.shape().from_bits(encode_request(TWO, case.gemm.op)))
        while cycles == 0 or ctx.get(dut.busy):
            ctx.set(dut.step_valid, rng.random() >= stall)
            for port, ready, words in inputs:
                ctx.set(port, next(words) if ctx.get(ready) else rng.getrandbits(len(port)))
            for column, (port, valid) in zip(sums, outputs, strict=True):
                if ctx.get(valid):
                    column.append(ctx.get(port))
            cycles += 1
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    simulate(dut, testbench)
    assert not [word for _, _, words in inputs for word in words]
    return case.gemm.outputs(np.array(sums, np.uint32)), cycles


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("dataflow", Dataflow, ids=lambda dataflow: dataflow.name)
def test_components_compute_the_golden_sums(dataflow, stall):
    for case in small_cases(dataflow, 3):
        sums, cycles = simulate_array(case, stall)
        np.testing.assert_array_equal(sums, case.vectors.golden, err_msg=str(case))
        expected = array_cycles(TWO, case.gemm.op)
        assert cycles == expected or (stall and cycles > expected)


@pytest.fixture(scope="module")
def of_components() -> ArrayModel:
    """The array converted as it is, each cell a module of its own."""
    with pytest.MonkeyPatch.context() as patch:
        text = to_verilog(STCE(config=TWO), "stce")
        patch.setattr(array_model_module, "stce_verilog", lambda config: text)
        patch.setattr(array_model_module, "part_makers", lambda config: {})
        return ArrayModel(TWO)


def test_instances_of_emitted_parts_are_the_same_array(of_components, array_model):
    """Same words in, same sums out in the same cycles."""
    chosen = list(cases(TWO, 2, seed=8))
    for stall in (0.0, 0.5):
        (sums, cycles), (same_sums, same_cycles) = (
            run(model, chosen, stall) for model in (of_components, array_model(TWO))
        )
        np.testing.assert_array_equal(cycles, same_cycles)
        for case, one, other in zip(chosen, sums, same_sums, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, case.vectors.golden)


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (row_head, "LAG", 1),  # computes before the last word is in
        (row_head, "READ", 2),  # reads summands a stage too early
        (row_head, "RESULT", 5),  # writes sums a stage too early
        (stce, "SEND_TO_PACKED", 3),  # marks sums before they are packed
    ],
)
def test_wrong_timing_of_a_part_is_caught(monkeypatch, module, name, wrong):
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError):
        test_components_compute_the_golden_sums(Dataflow.OS, 0.0)
