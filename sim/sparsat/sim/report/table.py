"""The table of all operations, slowest first."""

from collections.abc import Iterable
from html import escape
from typing import Any

from sparsat.sim.report.advice import idle_cycles
from sparsat.sim.report.runs import Op, Run
from sparsat.sim.report.text import percent, quantity, speedup

Cell = tuple[Any, str]
"""What a column is sorted by, and the HTML to show."""


def operations(runs: list[Run], peaks: dict[str, int]) -> str:
    """Every operation of the first run, compared with the last."""
    dense = runs[-1].ops
    rows = [_cells(op, twin, runs, peaks) for op, twin in zip(runs[0].ops, dense, strict=True)]
    rows.sort(key=lambda row: -row["cycles"][0])
    head = "".join(_head(name) for name in (rows[0] if rows else ()))
    body = "".join(_row(row.values()) for row in rows)
    return f'<table id="operations"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(op: Op, dense: Op, runs: list[Run], peaks: dict[str, int]) -> dict[str, Cell]:
    cycles, used = op["cycles"], op["utilization"]
    idle = idle_cycles(op, peaks)
    share = cycles / (runs[0].totals["cycles"] or 1)
    depth, width = op["interleave"]
    cells: dict[str, Cell] = {
        "operation": (op["name"], escape(op["name"])),
        "stage": (op["stage"], f'<i class="dot {op["stage"]}"></i>{op["stage"]}'),
        "bound": (op["bound"], op["bound"]),
        "cycles": (cycles, quantity(cycles)),
        "share": (share, percent(share)),
        "vs dense": (dense["cycles"] / (cycles or 1), speedup(dense["cycles"], cycles)),
        "utilisation": (used, _meter(used)),
        "idle cycles": (idle, quantity(idle)),
        "DRAM": (op["dram_bytes"], quantity(op["dram_bytes"], "B")),
        "dataflow": (op["dataflow"], op["dataflow"]),
        "pattern": (op["pattern"], op["pattern"]),
        "Ir·Is": (depth * width, f"{depth}·{width}" if op["macs"] else "–"),
    }
    if len(runs) == 1:
        del cells["vs dense"]
    return cells


def _meter(share: float) -> str:
    return f'<span class="meter" style="--part:{share:.4f}">{percent(share)}</span>'


def _head(name: str) -> str:
    sort = ' aria-sort="descending"' if name == "cycles" else ""
    return f'<th scope="col"{sort}><button type="button">{name}</button></th>'


def _row(cells: Iterable[Cell]) -> str:
    return f"<tr>{''.join(_cell(*cell) for cell in cells)}</tr>"


def _cell(value: Any, shown: str) -> str:
    kind = "" if isinstance(value, str) else ' class="number"'
    return f'<td{kind} data-value="{escape(str(value))}">{shown}</td>'


def unmapped(data: dict[str, Any]) -> str:
    """A warning that names what no engine runs; nothing where all is mapped."""
    rows = "".join(
        f"<li><b>{escape(each['kind'])}</b>, {percent(each['share'])} of the step’s FLOPs: "
        f"{escape(', '.join(each['ops']))}</li>"
        for each in data["unmapped"]
    )
    if not rows:
        return ""
    return (
        '<section class="card warning"><h2>Unmapped operations</h2>'
        "<p>No engine of the machine runs these; their times are estimates.</p>"
        f"<ul>{rows}</ul></section>"
    )
