"""Results of `simulate` and `compare` as tables in the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from sparsat.sim.simulate import Result, Timed

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
    table = Table(title=_title(result), title_justify="left")
    for name in ("layer", "stage", "dataflow", "Ir·Is"):
        table.add_column(name, overflow="fold")
    for name in ("cycles", "share", "utilisation"):
        table.add_column(name, justify="right")
    table.add_column("bound")
    for index in shown:
        table.add_row(*_cells(ops[index], total))
    console.print(table)
    left = [ops[index]["cycles"] for index in by_cycles[len(shown) :]]
    if left:
        share = sum(left) / total
        console.print(f"… {len(left)} more operations, {share:.1%} of the cycles; --all shows them")
    console.print(_totals(result))
    for each in result.step.unmapped:
        names = ", ".join(each.ops[:3]) + (", …" if len(each.ops) > 3 else "")
        console.print(f"unmapped      {each.kind}, {each.share:.2%} of the FLOPs: {names}")


def print_comparison(results: list[Result]) -> None:
    """A row for each result."""
    table = Table(title=f"{results[0].step.model}, batch {results[0].step.batch}")
    table.title_justify = "left"
    for name in ("config", "pattern", "schedule"):
        table.add_column(name)
    for name in ("cycles", "time", "utilisation", "dense", "GEMM+update ×", "whole step ×"):
        table.add_column(name, justify="right")
    for result in results:
        sparse, dense = result.sparse.totals(), result.dense.totals()
        table.add_row(
            result.sparse.config.name,
            _pattern(result.sparse),
            result.schedule.name,
            f"{result.sparse.cycles:,}",
            _time(sparse["seconds"]),
            f"{sparse['gemm_utilization']:.1%}",
            f"{dense['gemm_utilization']:.1%}",
            f"{result.gemm_speedup:.3f}",
            f"{result.speedup:.3f}",
        )
    console = _console()
    console.print(table)
    console.print("Utilisation of GEMMs and updates; speedups over the same with dense weights.")


def print_layers(results: list[Result]) -> None:
    """Cycles of every layer (all its stages but vector operations) in each result, side by side."""
    table = Table(title="Cycles of GEMMs and updates by layer", title_justify="left")
    table.add_column("layer", overflow="fold")
    columns = [_by_layer(result) for result in results]
    for result in results:
        names = (result.sparse.config.name, _pattern(result.sparse), result.schedule.name)
        table.add_column(" ".join(names), justify="right")
    for layer in columns[0]:
        table.add_row(layer, *(f"{column[layer]:,}" for column in columns))
    _console().print(table)


def _by_layer(result: Result) -> dict[str, int]:
    cycles: dict[str, int] = {}
    for op in result.sparse.ops():
        if op["stage"] != "VECTOR":
            cycles[op["layer"]] = cycles.get(op["layer"], 0) + op["cycles"]
    return cycles


def _totals(result: Result) -> Table:
    table = Table()
    for number, name in enumerate(("total", _pattern(result.sparse), "dense", "speedup")):
        table.add_column(name, justify="right" if number else "left")
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
    giga = [f"{each['dram_bytes'] / 1e9:,.2f} GB" for each in (one, other)]
    table.add_row("memory traffic", *giga, "")
    room = [f"{each['memory_bytes'] / 2**30:,.2f} GiB" for each in (one, other)]
    table.add_row("memory taken", *room, "")
    joules = [f"{each['energy_joules']:,.2f} J" for each in (one, other)]
    ratio = _ratio(other["energy_joules"], one["energy_joules"])
    table.add_row("energy (45 nm estimate)", *joules, f"{ratio:.3f}×")
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
