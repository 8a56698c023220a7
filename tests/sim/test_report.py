"""The report of a step: complete, equal to its data, and closed to the outside."""

import copy
import json
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from html_tree import Element, parse
from sparsat.algo.models import build, example_input
from sparsat.dataflow.capture import capture
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.sim.boards import board
from sparsat.sim.report import render
from sparsat.sim.report.text import SPACE, quantity
from sparsat.sim.simulate import simulate

Data = dict[str, Any]


@pytest.fixture(scope="module")
def data() -> Data:
    step = capture(build("resnet9"), example_input("resnet9", batch=16), name="resnet9")
    return simulate(step, board("vcu1525"), SCHEDULES["optimal"], (2, 8)).report_data()


@pytest.fixture(scope="module")
def page(data: Data) -> Element:
    return page_of(data)


def page_of(data: Data) -> Element:
    return parse(render(data).replace(get_plotlyjs(), ""))


def operations(page: Element) -> list[dict[str, Element]]:
    """The cells of each row of the table, by the column's title."""
    table = next(page.find("table", id="operations"))
    names = [head.text for head in table.find("th")]
    rows = [list(row.find("td")) for row in table.find("tr")][1:]
    return [dict(zip(names, row, strict=True)) for row in rows]


def column(page: Element, name: str) -> list[float]:
    return [float(row[name].attributes["data-value"]) for row in operations(page)]


def charts(page: Element) -> dict[str, Any]:
    return json.loads(next(page.find("script", id="figures")).text)


def tiles(page: Element) -> dict[str, str]:
    found = {}
    for tile in page.find("div", class_="tile"):
        name, number, beside = (child.text for child in tile.find() if child.tag != "em")
        found[name] = f"{number.strip()}; {beside}"
    return found


def small(count: int = 1, **changes: Any) -> Data:
    """A step of `count` equal products on an array of 4 cells, 64 of its 100 cycles at work."""
    op: Data = {
        "name": "fc/FF",
        "layer": "fc",
        "stage": "FF",
        "dataflow": "OS",
        "pattern": "2:8",
        "interleave": [2, 4],
        "cycles": 100,
        "macs": 256,
        "utilization": 0.64,
        "dram_bytes": 1000,
        "bound": "memory",
    } | changes
    cycles = op["cycles"] * count
    totals = {
        "cycles": cycles,
        "seconds": cycles / 1e6,
        "utilization": 0.64,
        "gemm_utilization": 0.64,
        "dram_bytes": 1000 * count,
        "gflops_effective": 0.512,
        "gflops_dense_equivalent": 2.048,
    }
    span = [
        {"engine": "EXEC", "op": i, "start": 100 * i + 10, "end": 100 * i + 90}
        for i in range(count)
    ]
    dense = op | {"cycles": 250, "pattern": "dense"}
    return {
        "schema": 1,
        "model": "small",
        "batch": 1,
        "method": "bdwp",
        "pattern": "2:8",
        "schedule": "optimal",
        "memory": "fixed",
        "config": {"name": "tiny", "rows": 2, "cols": 2, "clock_hz": 1e6},
        "totals": totals,
        "dense": totals | {"cycles": 250 * count, "seconds": 250 * count / 1e6},
        "speedup_vs_dense": 2.5,
        "gemm_speedup_vs_dense": 2.5,
        "unmapped": [],
        "ops": [op] * count,
        "dense_ops": [dense] * count,
        "timeline": {"sparse": span, "dense": span},
        "peaks": {"macs_per_cycle": 4, "bytes_per_cycle": 16},
    }


def test_every_operation_is_in_the_table_slowest_first(data: Data, page: Element) -> None:
    shown = [row["operation"].text for row in operations(page)]
    assert sorted(shown) == sorted(op["name"] for op in data["ops"])
    cycles = column(page, "cycles")
    assert cycles == sorted(cycles, reverse=True)
    for row in operations(page):
        op = next(op for op in data["ops"] if op["name"] == row["operation"].text)
        assert row["bound"].text == op["bound"]
        assert row["stage"].text == op["stage"]
        assert float(row["utilisation"].attributes["data-value"]) == op["utilization"]


def test_totals_are_those_of_the_data(data: Data, page: Element) -> None:
    assert sum(column(page, "cycles")) == data["totals"]["cycles"]
    assert sum(column(page, "DRAM")) == data["totals"]["dram_bytes"]
    for bars in page.find("ul", class_="bars"):
        exact = [e.attributes["title"] for e in bars.find("span", class_="number")]
        cycles = sum(int(text.removesuffix(" cycles").replace(",", "")) for text in exact)
        assert cycles == data["totals"]["cycles"]


def test_a_row_of_bars_for_each_layer_stage_and_bound(data: Data, page: Element) -> None:
    names = [[e.text for e in bars.find("span", class_="name")] for bars in page.find("ul")]
    stages, bounds, layers = names
    assert set(stages) == {op["stage"] for op in data["ops"]}
    assert set(bounds) == {op["bound"] for op in data["ops"] + data["dense_ops"]}
    assert layers == list(dict.fromkeys(op["layer"] or "(model)" for op in data["ops"]))


def test_bars_are_as_long_as_their_cycles_dense_first() -> None:
    bars = next(page_of(small(2)).find("ul", class_="bars"))
    stacks = next(bars.find("span", class_="stacks"))
    lengths = [
        (stack.attributes["class"], part.attributes["style"])
        for stack in stacks.find("span")
        for part in stack.find("i", class_="FF")
    ]
    assert lengths == [("stack dense", "width:100.000%"), ("stack sparse", "width:40.000%")]


def test_headline_numbers() -> None:
    found = {name: text.replace(SPACE, " ") for name, text in tiles(page_of(small())).items()}
    assert found == {
        "step time": "100 µs; dense 250 µs",
        "speed-up": "2.50×; GEMM + update 2.50×",
        "utilisation": "64.0 %; dense 64.0 %",
        "in GEMM + update": "64.0 %; dense 64.0 %",
        "effective": "512 MFLOP/s; dense 512 MFLOP/s",
        "dense-equivalent": "2.05 GFLOP/s; dense 2.05 GFLOP/s",
        "DRAM traffic": "1.00 kB; dense 1.00 kB",
    }


def test_energy_is_shown_where_it_is_known() -> None:
    known = small()
    known["totals"] |= {"energy_joules": 0.5}
    known["dense"] |= {"energy_joules": 2.0}
    assert tiles(page_of(known))["energy"] == f"500 mJ; dense 2.00{SPACE}J"


def test_the_advice_names_who_leaves_the_array_idle() -> None:
    step = small(4)
    names = ("a", "b", "relu", "pool")
    for key in ("ops", "dense_ops"):
        step[key] = [op | {"name": name} for op, name in zip(step[key], names, strict=True)]
    step["ops"][1] |= {"macs": 0, "cycles": 144, "bound": "drain"}
    for op in step["ops"][2:]:
        op |= {"stage": "VECTOR", "macs": 0, "cycles": 36, "bound": "vector"}
    step["totals"]["cycles"] = 316
    advice = next(page_of(step).find("p", class_="advice")).text.replace(SPACE, " ")
    assert advice == (
        "The array’s cells are idle for 79.7 % of the step: look first at "
        "b (57.1 % of that, bound by drain), the 2 vector operations (28.6 %) "
        "and a (14.3 %, bound by memory)."
    )


def test_roofline_shows_every_product_below_its_roof(data: Data, page: Element) -> None:
    runs = charts(page)["roofline"]["runs"]
    assert list(runs) == ["2:8", "dense"]
    for run, key in (("2:8", "ops"), ("dense", "dense_ops")):
        memory, compute, *stages = runs[run]
        assert sum(len(stage["x"]) for stage in stages) == sum(op["macs"] > 0 for op in data[key])
        assert max(y for stage in stages for y in stage["y"]) <= compute["y"][0]
        assert memory["y"][1] == compute["y"][1] == pytest.approx(2 * 1024 * 0.3)
        assert memory["y"][0] / memory["x"][0] == pytest.approx(4 * 64 * 0.3)


def test_roofline_of_one_operation() -> None:
    *_, point = charts(page_of(small()))["roofline"]["runs"]["2:8"]
    assert (point["x"], point["y"]) == ([0.512], [pytest.approx(5.12e-3)])


def test_gantt_shows_every_entry_of_the_timeline(data: Data, page: Element) -> None:
    runs = charts(page)["gantt"]["runs"]
    for run, key in (("2:8", "sparse"), ("dense", "dense")):
        bars = runs[run]
        assert sum(len(bar["x"]) for bar in bars) == len(data["timeline"][key])
        end = max(a + b for bar in bars for a, b in zip(bar["base"], bar["x"], strict=True))
        last = max(piece["end"] for piece in data["timeline"][key])
        assert end == pytest.approx(last / data["config"]["clock_hz"] * 1e3)


def test_nothing_is_fetched(page: Element) -> None:
    for element in page.find():
        assert not {"src", "href", "srcset", "action"} & element.attributes.keys()
    style = next(page.find("style")).text
    assert "url(" not in style
    assert "@import" not in style
    policy = next(page.find("meta", http_equiv="Content-Security-Policy")).attributes["content"]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_library_for_the_figures_is_in_the_page(data: Data) -> None:
    assert get_plotlyjs() in render(data)


NAME = "</script><b title='\"'>&amp;$x"


def test_names_are_shown_as_they_are() -> None:
    step = small(name=NAME, layer=NAME) | {"model": NAME}
    step["unmapped"] = [{"kind": NAME, "ops": [NAME], "share": 0.25}]
    page = page_of(step)
    assert next(page.find("h1")).text == NAME
    assert operations(page)[0]["operation"].text == NAME
    assert [e.text for e in page.find("span", class_="name")] == ["FF", "memory", NAME]
    assert NAME in next(page.find("p", class_="advice")).text
    warning = next(page.find("section", class_="card warning")).text.replace(SPACE, " ")
    assert f"{NAME}, 25.0 % of the step’s FLOPs: {NAME}" in warning
    assert "<" not in next(page.find("script", id="figures")).text
    for chart in charts(page).values():
        for trace in chart["runs"]["2:8"]:
            for text in trace.get("text", []):
                assert "<b title" not in text


def test_no_warning_where_all_is_mapped(page: Element) -> None:
    assert not list(page.find("section", class_="card warning"))


def test_a_dense_step_is_compared_with_nothing() -> None:
    step = small(pattern="dense") | {"pattern": "dense"}
    page = page_of(step)
    assert list(charts(page)["gantt"]["runs"]) == ["dense"]
    assert not list(page.find("div", class_="switch"))
    assert "vs dense" not in operations(page)[0]
    assert "speed-up" not in tiles(page)
    assert not list(page.find("span", class_="stack sparse"))


@pytest.mark.parametrize("count", [0, 1])
def test_steps_of_hardly_any_operations(count: int) -> None:
    page = page_of(small(count))
    assert len(operations(page)) == count
    advice = next(page.find("p", class_="advice")).text
    assert ("no operations" in advice) == (count == 0)


def test_a_dense_run_of_other_operations_is_refused() -> None:
    step = copy.deepcopy(small(2))
    step["dense_ops"].pop()
    with pytest.raises(ValueError, match="same order"):
        render(step)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"),
        (7, "cycles", "7 cycles"),
        (0.4, "cycles", "0 cycles"),
        (999, "", "999"),
        (999_600, "cycles", "1.00 M cycles"),
        (132_243_931, "cycles", "132 M cycles"),
        (3_910_583_771, "", "3.91 G"),
        (4_749_527_552, "B", "4.75 GB"),
        (0.4408, "s", "441 ms"),
        (13.04, "s", "13.0 s"),
        (2.5e-6, "s", "2.50 µs"),
        (3e-9, "s", "3.00 ns"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit).replace(SPACE, " ") == text
