"""Results of `simulate` and `compare` as tables in the terminal."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sparsat.dataflow.schedule import SCHEDULES
from sparsat.sim.report.text import quantity
from sparsat.sim.simulate import Result, Timed

OPTIMAL = SCHEDULES["optimal"]
COMPARISON = (
    "Regret: cycles beyond those of optimal. Utilisation: of GEMMs and updates, sparse and "
    "dense. Last two: speedup over the same with dense weights."
)

ROWS = 32
"""Operations shown unless all are asked for."""
PIPED_WIDTH = 120
"""Columns where standard output is not a terminal."""


def print_result(result: Result, rows: int | None) -> None:
    """The `rows` operations that take longest (None: all), in the order in which they run, and the
    totals."""
    console = _console()
    ops = result.sparse.ops()
    by_cycles = sorted(range(len(ops)), key=lambda index: (-ops[index]["cycles"], index))
    shown = sorted(by_cycles[:rows])
    total = max(result.sparse.cycles, 1)
    table = _table()
    table.add_column("layer", overflow="fold")
    for name in ("stage", "data-\nflow", "Ir·Is"):
        table.add_column(name, no_wrap=True)
    _numbers(table, "cycles", "share", "utili-\nsation")
    table.add_column("bound", no_wrap=True)
    for index in shown:
        table.add_row(*_cells(ops[index], total))
    console.print(_title(result), table, sep="\n")
    left = [ops[index]["cycles"] for index in by_cycles[len(shown) :]]
    if left:
        share = sum(left) / total
        console.print(f"… {len(left)} more operations, {share:.1%} of the cycles; --all shows them")
    console.print("", _totals(result), sep="\n")
    for each in result.step.unmapped:
        names = ", ".join(each.ops[:3]) + (", …" if len(each.ops) > 3 else "")
        console.print(f"unmapped      {each.kind}, {each.share:.2%} of the FLOPs: {names}")


def print_comparison(results: list[Result]) -> None:
    """A row for each result. Regret: cycles beyond those of `optimal`, where that is there too."""
    optimal = {_place(each): each.sparse.cycles for each in results if each.schedule is OPTIMAL}
    step = results[0].step
    table = _table()
    table.add_column("config", overflow="fold")
    for name in ("N:M", "schedule"):
        table.add_column(name, no_wrap=True)
    _numbers(table, "cycles", "regret", "utili-\nsation", "dense", "GEMM\n+update", "whole\nstep")
    for result in results:
        sparse, dense = result.sparse.totals(), result.dense.totals()
        least = optimal.get(_place(result))
        table.add_row(
            *_place(result),
            result.schedule.name,
            f"{result.sparse.cycles:,}",
            f"{result.sparse.cycles / least - 1:.1%}" if least else "-",
            f"{sparse['gemm_utilization']:.1%}",
            f"{dense['gemm_utilization']:.1%}",
            f"{result.gemm_speedup:.3f}×",
            f"{result.speedup:.3f}×",
        )
    _console().print(f"{step.model}, batch {step.batch}", table, COMPARISON, sep="\n")


def print_layers(results: list[Result]) -> None:
    """Cycles of every layer (all its stages but vector operations) in each result, side by side."""
    table = _table()
    table.add_column("layer", overflow="fold")
    columns = [_by_layer(result) for result in results]
    _numbers(table, *("\n".join((*_place(each), each.schedule.name)) for each in results))
    for layer in columns[0]:
        table.add_row(layer, *(f"{column[layer]:,}" for column in columns))
    _console().print("\nCycles of GEMMs and updates by layer", table, sep="\n")


def _table() -> Table:
    """Close enough for 80 columns."""
    return Table(box=SIMPLE_HEAD, padding=0, show_edge=False)


def _numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _place(result: Result) -> tuple[str, str]:
    return result.sparse.config.name, _pattern(result.sparse)


def _by_layer(result: Result) -> dict[str, int]:
    cycles: dict[str, int] = {}
    for op in result.sparse.ops():
        if op["stage"] != "VECTOR":
            cycles[op["layer"]] = cycles.get(op["layer"], 0) + op["cycles"]
    return cycles


def _totals(result: Result) -> Table:
    table = _table()
    table.add_column("total")
    _numbers(table, _pattern(result.sparse), "dense", "speedup")
    sparse, dense = result.sparse, result.dense
    one, other = sparse.totals(), dense.totals()
    rows = (
        ("whole step, cycles", sparse.cycles, dense.cycles, result.speedup),
        ("GEMM+update, cycles", sparse.gemm_cycles, dense.gemm_cycles, result.gemm_speedup),
    )
    for name, a, b, speedup in rows:
        table.add_row(name, f"{a:,}", f"{b:,}", f"{speedup:.3f}×")
    table.add_row("time", _time(one["seconds"]), _time(other["seconds"]), "")
    for name, key in (
        ("utilisation, whole step", "utilization"),
        ("utilisation, GEMM+update", "gemm_utilization"),
    ):
        table.add_row(name, f"{one[key]:.1%}", f"{other[key]:.1%}", "")
    ratio = f"{_ratio(other['energy_joules'], one['energy_joules']):.3f}×"
    for name, key, unit, gain in (
        ("memory traffic", "dram_bytes", "B", ""),
        ("memory taken", "memory_bytes", "B", ""),
        ("energy (45 nm estimate)", "energy_joules", "J", ratio),
    ):
        table.add_row(name, *(quantity(each[key], unit) for each in (one, other)), gain)
    return table


def _ratio(one: float, other: float) -> float:
    return one / other if other else 1.0


def _cells(op: dict[str, Any], total: int) -> list[str]:
    array = op["dataflow"] != "-"
    return [
        op["layer"] if op["layer"] and op["stage"] != "VECTOR" else op["name"],
        op["stage"],
        op["dataflow"],
        "·".join(map(str, op["interleave"])) if array else "-",
        f"{op['cycles']:,}",
        f"{op['cycles'] / total:.1%}",
        f"{op['utilization']:.1%}" if array else "-",
        op["bound"],
    ]


def _title(result: Result) -> str:
    step, config = result.step, result.sparse.config
    return (
        f"{step.model}, batch {step.batch}, {_pattern(result.sparse)} on {config.name} "
        f"({config.rows}×{config.cols} cells), schedule {result.schedule.name}"
    )


def _pattern(timed: Timed) -> str:
    return f"{timed.pattern[0]}:{timed.pattern[1]}" if timed.pattern else "dense"


def _time(seconds: float) -> str:
    return f"{seconds:,.3f} s" if seconds >= 1 else f"{seconds * 1e3:,.3f} ms"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
