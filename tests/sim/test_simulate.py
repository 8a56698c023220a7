"""A simulated step: its numbers add up, stay in bounds and repeat."""

import io
import json
from collections import Counter

import numpy as np
import pytest

from sparsat.algo.models import build, example_input
from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Step
from sparsat.dataflow.program import Engine
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.config import preset
from sparsat.sim.simulate import Result, simulate
from sparsat.sim.trace import write_trace

BOUNDS = {"compute", "memory", "drain", "fill", "vector"}


@pytest.fixture(scope="module")
def step() -> Step:
    return capture(build("resnet18"), example_input("resnet18", batch=512), name="resnet18")


@pytest.fixture(scope="module")
def result(step: Step) -> Result:
    return simulate(step, preset("vcu1525"), SCHEDULES["optimal"], (2, 8))


def test_schema(result: Result) -> None:
    plain = json.loads(result.to_json())
    assert plain["schema"] == 1
    assert (plain["method"], plain["pattern"], plain["batch"]) == ("bdwp", "2:8", 512)
    assert plain["totals"].keys() == plain["dense"].keys()
    for op in plain["ops"]:
        assert op["stage"] in {"FF", "BP", "WU", "UPDATE", "VECTOR"}
        assert op["bound"] in BOUNDS
        assert (op["bound"] == "vector") == (op["stage"] == "VECTOR")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("config", ["vcu1525", "vcu1525_max"])
def test_operations_add_up_and_no_cell_does_more_than_one_product_a_cycle(
    step: Step, config: str, schedule: str
) -> None:
    found = simulate(step, preset(config), SCHEDULES[schedule], (2, 8))
    for timed in (found.sparse, found.dense):
        ops, totals = timed.ops(), timed.totals()
        assert sum(op["cycles"] for op in ops) == totals["cycles"] == timed.times.end.max()
        assert sum(op["macs"] for op in ops) == totals["macs"]
        assert sum(op["dram_bytes"] for op in ops) == totals["dram_bytes"]
        assert all(0 <= op["utilization"] <= 1 for op in ops)
        assert all(op["cycles"] >= 0 for op in ops)
        assert totals["gemm_utilization"] <= 1


def test_no_layer_is_slower_sparse_than_dense(result: Result) -> None:
    """By layer: operations that overlap the one before them share its time."""
    sparse: Counter[str] = Counter()
    dense: Counter[str] = Counter()
    for counts, timed in ((sparse, result.sparse), (dense, result.dense)):
        for op in timed.ops():
            counts[op["layer"]] += op["cycles"]
    assert {layer for layer in dense if sparse[layer] > dense[layer]} == set()


def test_operations_wait_for_what_they_read(result: Result) -> None:
    timed = result.sparse
    columns = timed.scheduled.program.arrays()
    count = len(timed.scheduled.plans)
    begin, finish = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    np.minimum.at(begin, columns["op"], timed.times.start)
    np.maximum.at(finish, columns["op"], timed.times.end)
    ready: dict[str, int] = {}
    for index, plan in enumerate(timed.scheduled.plans):
        for name in plan.op.reads:
            assert begin[index] >= ready.get(name, 0)
        for name in plan.op.writes:
            ready[name] = int(finish[index])


def test_same_input_same_bytes(step: Step, result: Result) -> None:
    again = simulate(
        Step.from_json(step.to_json()), preset("vcu1525"), SCHEDULES["optimal"], (2, 8)
    )
    assert again.to_json() == result.to_json()


def test_instructions_do_not_grow_with_products(step: Step, result: Result) -> None:
    assert len(result.sparse.scheduled.program) < 5000
    assert result.sparse.totals()["dense_macs"] > 2e11


def test_dense_alone_has_no_speedup(step: Step) -> None:
    found = simulate(step, preset("vcu1525"), SCHEDULES["paper"], None)
    assert found.speedup == found.gemm_speedup == 1
    assert found.to_dict()["method"] == "dense"


def test_what_does_not_fit_is_named(step: Step) -> None:
    config = preset("vcu1525").with_(name="narrow", m_max=4)
    with pytest.raises(ValueError, match="pattern 2:8 does not fit config narrow"):
        simulate(step, config, SCHEDULES["optimal"], (2, 8))
    config = preset("tiny").with_(name="cramped", a_scratch_kib=1)
    with pytest.raises(ValueError, match="conv1/FF does not fit config cramped"):
        simulate(step, config, SCHEDULES["optimal"], (2, 8))


def test_trace_has_a_slice_for_each_instruction(result: Result) -> None:
    file = io.StringIO()
    write_trace(result.sparse, file)
    events = json.loads(file.getvalue())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    threads = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert threads == set(Engine.__members__)
    assert len(slices) == len(result.sparse.scheduled.program)
    assert {each["name"] for each in slices} == {p.op.name for p in result.sparse.scheduled.plans}
    last = max(each["ts"] + each["dur"] for each in slices)
    assert last == pytest.approx(result.sparse.totals()["seconds"] * 1e6)
