"""The page of the paper's numbers: its tables from steps with numbers chosen by hand."""

import pytest

from sparsat.dataflow.ir import MatMul
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.step_cache import captured_step
from sparsat.sim.boards import board
from sparsat.sim.exhaustive import Product
from sparsat.sim.reproduce import (
    ABLATIONS,
    CASES,
    DENSE,
    PATTERN,
    SPARSE,
    Run,
    ablations,
    page,
    patterns,
    slower_layers,
    speedups,
    times,
)
from sparsat.sim.simulate import simulate
from steps import product_step


def a_run(cycles: int, layers: dict[str, int] | None = None, pruned: set[str] | None = None) -> Run:
    """Products and updates are half of the step."""
    totals = {
        "cycles": cycles,
        "gemm_cycles": cycles // 2,
        "macs": cycles * 10,
        "seconds": cycles / 1000,
        "utilization": 0.5,
        "gemm_utilization": 0.75,
        "dram_bytes": cycles,
    }
    return Run(totals, layers or {}, pruned or set())


def two_models(**changed: Run) -> dict[str, dict]:
    """All cases take 100 cycles but dense training, 200 for `a` and 400 for `b`."""
    usual = {case: a_run(100) for case in CASES}
    return {
        "a": usual | {DENSE: a_run(200)},
        "b": usual | {DENSE: a_run(400)} | {(name, PATTERN): x for name, x in changed.items()},
    }


def rows(table: str) -> dict[str, list[str]]:
    """Cells by the first one; the head and the rule are left out."""
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    return {first: rest for first, *rest in lines[2:]}


def test_speedups_are_dense_over_sparse_and_means_arithmetic():
    found = rows(speedups(two_models()))
    assert found["a"] == ["2.000"] * 3
    assert found["b"] == ["4.000"] * 3
    assert found["mean"] == ["3.000"] * 3


def test_ablations_are_over_the_same_pattern_under_optimal():
    found = rows(ablations(two_models(paper=a_run(150), ws=a_run(110)), "cycles"))
    assert dict(zip(ABLATIONS, map(float, found["b"]), strict=True)) == {
        "no-interleave": 1, "online-sore": 1, "os": 1, "ws": 1.1, "paper": 1.5,
    }  # fmt: skip
    assert found["mean"][-1] == "1.250"


def test_patterns_and_times():
    assert rows(patterns(two_models()))["1:16"] == ["3.000"] * 3 + ["75.0%"]
    assert "| b | dense | 400 | 400.0 | 75.0% | 50.0% |" in times(two_models())


def test_layers_slower_than_dense_are_listed():
    found = {
        DENSE: a_run(9, {"one": 100, "two": 100, "head": 100}),
        SPARSE: a_run(9, {"one": 99, "two": 103, "head": 101}, pruned={"one", "two"}),
    }
    assert list(slower_layers(found)) == ["two (3.0%)", "head (1.0%, dense in both)"]


def test_the_page_names_the_worst_choice():
    (op,) = product_step(MatMul(1, 1, 1, 1), 1).ops
    searched = [Product(op, 10, 100, 100), Product(op, 20, 60, 40)]
    text = " ".join(page(two_models(paper=a_run(150)), searched).split())
    assert "2 different products" in text
    assert "30 in all. For 1 the chosen plan" in text
    assert "takes 50.0% longer than the best (attention, 37.50% of" in text
    assert "take 14.29% longer than all the best" in text
    assert "beyond `optimal`, is 25.0% in the mean" in text
    assert "None is slower." in text


@pytest.fixture
def result():
    step = captured_step("resnet9", 1)
    return simulate(step, board("vcu1525"), SCHEDULES["optimal"], PATTERN)


def test_layers_have_the_cycles_of_their_products(result):
    run = Run.of(result.sparse)
    assert run.totals == result.sparse.totals()
    products = [op for op in result.sparse.ops() if op["stage"] in ("FF", "BP", "WU")]
    assert sum(run.layers.values()) == sum(op["cycles"] for op in products)
    assert set(run.layers) - set(run.pruned) == {"stem.0", "head"}
