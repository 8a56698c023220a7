"""The designs and their front as a page to look at."""

from collections.abc import Sequence
from itertools import groupby

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sparsat.sim.explore.search import Point

COLUMNS = ("LUT", "energy of a step, J")


def render(title: str, points: Sequence[Point], front: Sequence[Point]) -> str:
    """One HTML file that needs nothing else: step time over LUT and over energy."""
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    figure.add_traces(_cloud(points), rows=[1, 1], cols=[1, 2])
    for pattern, group in groupby(front, key=lambda point: point.design.pattern):
        figure.add_traces(_front(pattern, list(group)), rows=[1, 1], cols=[1, 2])
    for number, name in enumerate(COLUMNS, 1):
        figure.update_xaxes(title=name, type="log", row=1, col=number)
    figure.update_yaxes(title="time of a step, s", type="log", row=1, col=1)
    figure.update_layout(title=title, template="plotly_white", height=650, hovermode="closest")
    return figure.to_html(include_plotlyjs=True, full_html=True)


def _cloud(points: Sequence[Point]) -> list[go.Scattergl]:
    return _pair(points, name="screened", mode="markers", marker={"size": 4, "color": "#b8bfca"})


def _front(pattern: str, points: Sequence[Point]) -> list[go.Scattergl]:
    return _pair(points, name=f"front, {pattern}", mode="markers", marker={"size": 9})


def _pair(points: Sequence[Point], name: str, **look: object) -> list[go.Scattergl]:
    """Over LUT and over energy, with one entry in the legend."""
    seconds, lut, joules = zip(*(point.objectives for point in points), strict=True)
    texts = [describe(point) for point in points]
    same = {"y": seconds, "text": texts, "hoverinfo": "text+x+y", "name": name, "legendgroup": name}
    return [
        go.Scattergl(x=x, showlegend=shown, **same, **look)
        for x, shown in ((lut, True), (joules, False))
    ]


def describe(point: Point) -> str:
    """A design in a line."""
    d, mhz = point.design, point.candidate.config.clock_hz / 1e6
    return (
        f"{d.rows}×{d.cols}, {d.pattern}, {mhz:.0f} MHz, depth {d.depth}, "
        f"A {d.a_regs}, B {d.b_regs}, link {d.a_link}, "
        f"KiB {d.a_scratch_kib}/{d.b_scratch_kib}/{d.c_scratch_kib}, "
        f"SORE {d.sore_lanes}, WUVE {d.wuve_lanes}, {d.channels} ports"
    )
