"""The roofline: how fast operations run, and how fast memory and array would let them."""

from html import escape
from math import log10
from typing import Any

from sparsat.sim.report.chart import INK, Figure, axis, layout
from sparsat.sim.report.runs import COLORS, Op, Run
from sparsat.sim.report.text import percent, quantity

SMALLEST, LARGEST = 6, 34
"""Diameters of points, pixels."""


def roofline(runs: list[Run], peaks: dict[str, int], clock_hz: float) -> Figure:
    """GFLOP/s over FLOP per byte of memory traffic, of kept values; a point's area is its time."""
    compute, memory = 2 * clock_hz * peaks["macs_per_cycle"], clock_hz * peaks["bytes_per_cycle"]
    ridge = compute / memory
    ops = [op for run in runs for op in run.ops if _shown(op)]
    intensities = [ridge, *map(_intensity, ops)]
    low, high = min(intensities) / 4, max(intensities) * 4
    slowest = min([low * memory, *(_flops(op, clock_hz) for op in ops)])
    roofs = [_roof([low, ridge], [low * memory, compute]), _roof([ridge, high], [compute, compute])]
    left = 1.3 * low
    labels = [
        _label(f" memory {quantity(memory, 'B/s')}", "left", left * memory, x=log10(left)),
        _label(f"compute {quantity(compute, 'FLOP/s')}", "right", compute, xref="paper", yshift=26),
    ]
    chart = layout(
        xaxis=axis("FLOP per byte of DRAM traffic", type="log", range=[log10(low), log10(high)]),
        yaxis=axis("GFLOP/s", type="log", range=[_giga(slowest / 1.2), _giga(compute * 1.4)]),
        hovermode="closest",
        annotations=labels,
    )
    return {"runs": {run.name: roofs + _points(run, clock_hz) for run in runs}, "layout": chart}


def _shown(op: Op) -> bool:
    return op["macs"] > 0 and op["cycles"] > 0 and op["dram_bytes"] > 0


def _intensity(op: Op) -> float:
    return 2 * op["macs"] / op["dram_bytes"]


def _flops(op: Op, clock_hz: float) -> float:
    return 2 * op["macs"] * clock_hz / op["cycles"]


def _giga(flops: float) -> float:
    """The coordinate of ranges and labels, which take logarithms where the axis has them."""
    return log10(flops / 1e9)


def _roof(x: list[float], flops: list[float]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": [value / 1e9 for value in flops],
        "line": {"color": INK, "width": 2},
        "hoverinfo": "skip",
    }


def _label(text: str, end: str, flops: float, **place: Any) -> Figure:
    """Text whose left or right end is at that height, by default at the chart's right edge."""
    at = {"x": 1, "y": _giga(flops), "xanchor": end, "showarrow": False}
    return {"text": text, **at, **place}


def _points(run: Run, clock_hz: float) -> list[Figure]:
    longest = max((op["cycles"] for op in run.ops), default=1)
    traces = []
    for stage, color in COLORS.items():
        ops = [op for op in run.ops if op["stage"] == stage and _shown(op)]
        if not ops:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": stage,
                "x": [_intensity(op) for op in ops],
                "y": [_flops(op, clock_hz) / 1e9 for op in ops],
                "text": [_text(op) for op in ops],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "color": color,
                    "size": [
                        max(SMALLEST, LARGEST * (op["cycles"] / longest) ** 0.5) for op in ops
                    ],
                    "opacity": 0.65,
                    "line": {"color": "white", "width": 1},
                },
            }
        )
    return traces


def _text(op: Op) -> str:
    depth, width = op["interleave"]
    return (
        f"<b>{escape(op['name'])}</b><br>{op['dataflow']}, {op['pattern']}, interleave "
        f"{depth}·{width}<br>bound by {op['bound']}, {percent(op['utilization'])} utilised<br>"
        f"{quantity(op['cycles'], 'cycles')}, {quantity(op['dram_bytes'], 'B')}"
    )
