"""The page: its template, style and script stand beside this file."""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from sparsat.sim.report import bars, header, table
from sparsat.sim.report.advice import advice
from sparsat.sim.report.gantt import gantt
from sparsat.sim.report.roofline import roofline
from sparsat.sim.report.runs import COLORS, Run, runs_of

HERE = Path(__file__).parent


def render(data: dict[str, Any]) -> str:
    """One HTML page that fetches nothing.

    Parameters
    ----------
    data
        The plain form of a result, schema 1 (`Result.to_dict`), and:

        - `dense_ops`: the operations of the dense run, as `ops`, in the same order;
        - `timeline`: for "sparse" and "dense" a list of {"engine": "LOAD_A", "LOAD_B", "EXEC",
          "STORE", "UPDATE" or "VECTOR", "op": index into ops, "start": cycle, "end": cycle};
        - `peaks`: {"macs_per_cycle", "bytes_per_cycle"} of the machine.

        Where `totals` and `dense` have `energy_joules`, it is shown.

    Raises
    ------
    ValueError
        If `dense_ops` are not the operations of `ops`.
    """
    runs, peaks, clock_hz = runs_of(data), data["peaks"], data["config"]["clock_hz"]
    charts = {
        "roofline": roofline(runs, peaks, clock_hz),
        "gantt": gantt(runs, clock_hz),
    }
    return Template(_file("page.html")).substitute(
        model=escape(data["model"]),
        style=_file("page.css"),
        colors="".join(f"--{stage}:{color};" for stage, color in COLORS.items()),
        plotly=get_plotlyjs(),
        script=_file("page.js"),
        figures=json.dumps(charts, separators=(",", ":")).replace("<", "\\u003c"),
        facts=header.facts(data),
        advice=escape(advice(runs[0], peaks)),
        headline=header.headline(data, runs),
        legend=_legend(),
        reading=_reading(runs),
        layers=bars.layers(runs),
        stages=bars.stages(runs),
        bounds=bars.bounds(runs),
        switch=_switch(runs),
        operations=table.operations(runs, peaks),
        unmapped=table.unmapped(data),
    )


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _legend() -> str:
    stages = "".join(f'<span><i class="dot {stage}"></i>{stage}</span>' for stage in COLORS)
    return f'<p class="legend">{stages}</p>'


def _reading(runs: list[Run]) -> str:
    """How to read the bars."""
    name = runs[0].name
    if not runs[1:]:
        return "<p>The numbers are cycles and their share of the step.</p>"
    return (
        f"<p>The upper bar is dense, the lower one {name}. The numbers are cycles of {name}, their "
        "share of the step, and the speed-up over dense.</p>"
    )


def _switch(runs: list[Run]) -> str:
    """Buttons that choose which run a figure shows."""
    buttons = "".join(
        f'<button type="button" data-run="{run.name}">{run.name}</button>' for run in runs
    )
    return f'<div class="switch" role="group" aria-label="run">{buttons}</div>' if runs[1:] else ""
