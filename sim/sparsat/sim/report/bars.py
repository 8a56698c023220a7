"""Bars of cycles, stacked by stage: one above the other for each run, dense first."""

from html import escape

from sparsat.sim.report.runs import BOUNDS, COLORS, Run, Stages, cycles_by
from sparsat.sim.report.text import percent, quantity, speedup

ROWS_PER_COLUMN = 48
COLUMNS = 3


def layers(runs: list[Run]) -> str:
    """A row for each layer, in the order of the step."""
    found = [cycles_by(run.ops, lambda op: op["layer"]) for run in runs]
    return _bars(runs, [(name or "(model)", [by[name] for by in found]) for name in found[0]])


def stages(runs: list[Run]) -> str:
    return _named(runs, "stage", tuple(COLORS))


def bounds(runs: list[Run]) -> str:
    return _named(runs, "bound", BOUNDS)


def _named(runs: list[Run], key: str, names: tuple[str, ...]) -> str:
    """A row for each of `names` that occurs."""
    found = [cycles_by(run.ops, lambda op: op[key]) for run in runs]
    rows = [(name, [by.get(name, {}) for by in found]) for name in names]
    return _bars(runs, [row for row in rows if any(row[1])])


def _bars(runs: list[Run], rows: list[tuple[str, list[Stages]]]) -> str:
    longest = max((sum(stages.values()) for _, each in rows for stages in each), default=0) or 1
    columns = min(COLUMNS, 1 + len(rows) // ROWS_PER_COLUMN)
    body = "".join(_row(runs, name, each, longest) for name, each in rows)
    return f'<ul class="bars" style="--columns:{columns}">{body}</ul>'


def _row(runs: list[Run], name: str, each: list[Stages], longest: int) -> str:
    cycles = [sum(stages.values()) for stages in each]
    share = cycles[0] / (runs[0].totals["cycles"] or 1)
    stacks = [_stack(run.name, stages, longest) for run, stages in zip(runs, each, strict=True)]
    gain = f"<b>{speedup(cycles[1], cycles[0])}</b>" if len(runs) > 1 else ""
    return (
        f'<li><span class="name">{_breakable(name)}</span>'
        f'<span class="stacks">{"".join(reversed(stacks))}</span>'
        f'<span class="number" title="{cycles[0]:,} cycles">{quantity(cycles[0])}'
        f"<small>{percent(share)}</small>{gain}</span></li>"
    )


def _breakable(name: str) -> str:
    return escape(name).replace(".", ".<wbr>")


def _stack(run: str, stages: Stages, longest: int) -> str:
    parts = [
        f'<i class="{stage}" style="width:{100 * stages[stage] / longest:.3f}%" '
        f'title="{run}, {stage}: {quantity(stages[stage], "cycles")}"></i>'
        for stage in COLORS
        if stages.get(stage)
    ]
    kind = "dense" if run == "dense" else "sparse"
    return f'<span class="stack {kind}">{"".join(parts)}</span>'
