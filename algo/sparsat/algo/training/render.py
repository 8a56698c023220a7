"""A sweep's table as text cells, Markdown and JSON."""

from dataclasses import asdict

from sparsat.algo.tasks.base import Metric
from sparsat.algo.training.table import Table, TableRow

Cells = list[list[str]]
"""Rows of a printed table, the first being the head."""


def main_cells(table: Table) -> Cells:
    """Scores of all seeds, mean, SD, iso columns and costs."""
    unit, digits = table.metric.unit, table.metric.digits
    seeds = [f"seed {s}" for s in table.seeds]
    costs = ["MACs/dense", "steps", "CPU-s"]
    head = ["method", f"mean {unit}", "SD", *seeds, "iso-step", "iso-MAC", *costs]
    return [head, *(_main_row(row, digits, len(seeds)) for row in table.rows)]


def _main_row(row: TableRow, digits: int, seeds: int) -> list[str]:
    scores = [number(s, digits) for s in row.scores]
    return [
        row.label,
        number(row.mean, digits),
        number(row.sd, digits),
        *scores,
        *["–"] * (seeds - len(scores)),
        number(row.iso_step, digits),
        number(row.iso_mac, digits),
        f"{row.cost:.3f}",
        str(row.steps),
        f"{row.cpu_seconds:.0f}",
    ]


def extra_cells(table: Table) -> Cells:
    """Mean and SD of the further metrics, ✓ where a score matches dense; empty without any."""
    metrics = table.extra_metrics
    if not metrics:
        return []
    head = ["method", *(f"{m.name} {m.unit}" for m in metrics)]
    return [head, *([row.label, *(_extra(row, m) for m in metrics)] for row in table.rows)]


def _extra(row: TableRow, metric: Metric) -> str:
    mean, sd = row.extra[metric.name]
    text = number(mean, metric.digits) + ("" if sd is None else f" ± {number(sd, metric.digits)}")
    return text + (" ✓" if row.matches.get(metric.name) and row.label != "dense" else "")


def number(value: float | None, digits: int) -> str:
    """`value` with `digits` decimals, a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def caption(table: Table) -> str:
    """What the columns mean, in one line."""
    better = "higher" if table.metric.higher_is_better else "lower"
    return (
        f"{table.metric.name} of task {table.task}, {better} is better; iso-step at"
        f" {table.budget_steps} steps, iso-MAC at {table.budget_macs:.3g} MACs"
    )


def markdown(cells: Cells) -> str:
    """`cells` as a Markdown table, numbers to the right."""
    head, *rows = ["| " + " | ".join(row) + " |" for row in cells]
    rule = "|---" + "|--:" * (len(cells[0]) - 1) + "|"
    return "\n".join([head, rule, *rows]) + "\n"


def document(table: Table) -> str:
    """Caption and all tables in Markdown."""
    parts = [caption(table) + "\n", markdown(main_cells(table))]
    if extra := extra_cells(table):
        parts.append(markdown(extra))
    return "\n".join(parts)


def to_json(table: Table) -> dict:
    """The table as plain data."""
    return asdict(table)
