"""A simulated step: its numbers add up, stay in bounds and repeat."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sparsat.algo.models import build, example_input
from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Step
from sparsat.dataflow.models import BUILTINS
from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.hw.isa.encoding import decode_program, encode_program
from sparsat.hw.isa.instructions import LoadA, Update, Vector
from sparsat.hw.isa.semaphores import check_semaphores
from sparsat.hw.isa.validate import validate
from sparsat.sim.boards import Board, board
from sparsat.sim.engines.decoded import Engine
from sparsat.sim.reproduce import Run
from sparsat.sim.simulate import Result, simulate, simulate_once
from sparsat.sim.trace import write_trace

BOARD = board("vcu1525")
BOUNDS = {"compute", "memory", "drain", "fill", "vector"}


@pytest.fixture(scope="module")
def step() -> Step:
    return capture(build("resnet18"), example_input("resnet18", batch=512), name="resnet18")


@pytest.fixture(scope="module")
def result(step: Step) -> Result:
    return simulate(step, BOARD, SCHEDULES["optimal"], (2, 8))


@cache
def small_step(name: str) -> Step:
    return capture(build(name), example_input(name, batch=8), name=name)


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
    found = simulate(step, BOARD.with_(config, None), SCHEDULES[schedule], (2, 8))
    for timed in (found.sparse, found.dense):
        ops, totals = timed.ops(), timed.totals()
        assert sum(op["cycles"] for op in ops) == totals["cycles"] == timed.timing.cycles
        assert sum(op["macs"] for op in ops) == totals["macs"]
        assert sum(op["dram_bytes"] for op in ops) == totals["dram_bytes"]
        assert all(0 <= op["utilization"] <= 1 for op in ops)
        assert all(op["cycles"] >= 0 for op in ops)
        assert totals["gemm_utilization"] <= 1


@pytest.mark.parametrize("name", BUILTINS)
def test_no_pruned_layer_is_slower_sparse_than_dense(name: str) -> None:
    """By layer: operations that overlap the one before them share its time."""
    dense, sparse = (
        Run.of(simulate_once(small_step(name), BOARD, SCHEDULES["optimal"], pattern))
        for pattern in (None, (2, 8))
    )
    assert len(sparse.pruned) > 5
    slower = {layer for layer in sparse.pruned if sparse.layers[layer] > dense.layers[layer]}
    assert slower == set()


def test_operations_wait_for_what_they_read(result: Result) -> None:
    timed = result.sparse
    rows = timed.timing.instructions
    count = len(timed.plans)
    op = np.array([each.op for each in timed.scheduled.program])[:-1]
    begin, finish = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    # Of a product the loads of A: weights may be loaded ahead.
    kinds = (LoadA, Vector, Update)
    reads = np.array([type(each) in kinds for each in timed.scheduled.program])[:-1]
    np.minimum.at(begin, op[reads], rows["start"][:-1][reads])
    np.maximum.at(finish, op, rows["end"][:-1])
    ready: dict[str, int] = {}
    for index, planned in enumerate(timed.plans):
        loads = planned.plan is not None
        for name in (planned.site.a,) if loads else planned.op.reads:
            assert begin[index] >= ready.get(name, 0), planned.op.name
        for name in planned.op.writes:
            ready[name] = int(finish[index])


def test_stalls_add_up(result: Result) -> None:
    for timed in (result.sparse, result.dense):
        assert sum(timed.stalls().values()) == timed.cycles


@pytest.mark.parametrize("name", BUILTINS)
def test_programs_are_legal_and_never_stop(name: str) -> None:
    """Every field, address and semaphore; and the binary form says all."""
    for pattern in ((2, 8), None):
        scheduled = schedule_step(BOARD.config, small_step(name), SCHEDULES["optimal"], pattern)
        validate(BOARD.config, scheduled.program, scheduled.memory_bytes)
        check_semaphores(scheduled.program)
        assert decode_program(encode_program(scheduled.program)) == scheduled.program


def test_a_batch_that_memory_cannot_hold_is_named(step: Step) -> None:
    small = Board("half", BOARD.config, "fixed", 2**29)
    with pytest.raises(ValueError, match=r"batch 512 of resnet18 takes .* GiB of memory, half has"):
        simulate(step, small, SCHEDULES["optimal"], (2, 8))


def test_same_input_same_bytes(step: Step, result: Result) -> None:
    again = simulate(Step.from_json(step.to_json()), BOARD, SCHEDULES["optimal"], (2, 8))
    assert again.to_json() == result.to_json()


def test_instructions_do_not_grow_with_products(step: Step, result: Result) -> None:
    assert len(result.sparse.scheduled.program) < 5000
    assert result.sparse.totals()["dense_macs"] > 2e11


def test_dense_alone_has_no_speedup(step: Step) -> None:
    found = simulate(step, BOARD, SCHEDULES["paper"], None)
    assert found.speedup == found.gemm_speedup == 1
    assert found.to_dict()["method"] == "dense"


def test_what_does_not_fit_is_named(step: Step) -> None:
    config = replace(BOARD, config=BOARD.config.with_(name="narrow", m_max=4))
    with pytest.raises(ValueError, match="pattern 2:8 does not fit config narrow"):
        simulate(step, config, SCHEDULES["optimal"], (2, 8))
    config = replace(BOARD, config=BOARD.config.with_(name="cramped", a_scratch_kib=1))
    with pytest.raises(ValueError, match="conv1/FF does not fit config cramped"):
        simulate(step, config, SCHEDULES["optimal"], (2, 8))


@pytest.fixture(scope="module")
def trace(result: Result) -> list[dict]:
    file = io.StringIO()
    write_trace(result.sparse, file)
    return json.loads(file.getvalue())["traceEvents"]


def test_trace_has_a_slice_for_each_instruction(result: Result, trace: list[dict]) -> None:
    slices = [event for event in trace if event["ph"] == "X"]
    assert len(slices) == len(result.sparse.scheduled.program) - 1
    assert {each["name"] for each in slices} == {p.op.name for p in result.sparse.plans}
    last = max(each["ts"] + each["dur"] for each in slices)
    assert last == pytest.approx(result.sparse.totals()["seconds"] * 1e6)


def test_trace_has_the_fields_that_viewers_ask_for(trace: list[dict]) -> None:
    """Complete events and metadata of the Trace Event Format; names come before their slices."""
    threads: dict[tuple[int, int], str] = {}
    for each in trace:
        assert type(each["pid"]) is int
        assert each["ph"] in ("M", "X")
        if each["ph"] == "X":
            assert (each["pid"], each["tid"]) in threads
            assert each["ts"] >= 0
            assert each["dur"] >= 0
            assert all(type(value) is int for value in each["args"].values())
        elif each["name"] == "thread_name":
            assert type(each["tid"]) is int
            assert min(each["pid"], each["tid"]) > 0
            assert (each["pid"], each["tid"]) not in threads
            threads[each["pid"], each["tid"]] = each["args"]["name"]
    assert list(threads.values()) == list(Engine.__members__)
    (process,) = (each for each in trace if each["name"] == "process_name")
    assert (process["pid"], process["args"]) == (1, {"name": "vcu1525"})


@pytest.mark.parametrize(
    "counted", [float, lambda value: round(value * 1000)], ids=["microseconds", "nanoseconds"]
)
def test_slices_of_a_thread_of_the_trace_follow_one_another(
    trace: list[dict], counted: Callable
) -> None:
    """Viewers drop a slice that begins inside another and ends after it. Some of them count in
    floating-point microseconds, some in whole nanoseconds."""
    ends: dict[int, float] = {}
    for each in trace:
        if each["ph"] == "X":
            begin = counted(each["ts"])
            assert begin >= ends.get(each["tid"], 0)
            ends[each["tid"]] = begin + counted(each["dur"])
