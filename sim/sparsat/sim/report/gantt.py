"""The Gantt chart: which operation each engine works on, over the time of the step."""

from html import escape

from sparsat.sim.report.chart import Figure, axis, layout
from sparsat.sim.report.runs import COLORS, Run
from sparsat.sim.report.text import quantity

ENGINES = ("LOAD_A", "LOAD_B", "EXEC", "STORE", "UPDATE", "VECTOR")
UNITS = ((1, "s"), (1e3, "ms"), (1e6, "µs"))


def gantt(runs: list[Run], clock_hz: float) -> Figure:
    """What each engine worked on, over the time of the step."""
    used = {piece["engine"] for run in runs for piece in run.timeline}
    end = max((piece["end"] for run in runs for piece in run.timeline), default=1) / clock_hz
    scale, unit = next(((s, u) for s, u in UNITS if s * end >= 1), UNITS[-1])
    strip = {"thickness": 0.12, "range": [0, end * scale]}
    chart = layout(
        barmode="overlay",
        bargap=0.15,
        xaxis=axis(unit, range=[0, end * scale], rangeslider=strip),
        yaxis=axis(
            "",
            type="category",
            fixedrange=True,
            categoryorder="array",
            categoryarray=[name for name in reversed(ENGINES) if name in used],
        ),
    )
    return {"runs": {run.name: _slices(run, clock_hz, scale) for run in runs}, "layout": chart}


def _slices(run: Run, clock_hz: float, scale: float) -> list[Figure]:
    """A trace for each stage; neighbours differ in shade."""
    traces = []
    for stage, color in COLORS.items():
        pieces = [piece for piece in run.timeline if run.ops[piece["op"]]["stage"] == stage]
        if not pieces:
            continue
        starts = [piece["start"] / clock_hz for piece in pieces]
        spans = [(piece["end"] - piece["start"]) / clock_hz for piece in pieces]
        shades = [0.7 + 0.3 * (piece["op"] % 2) for piece in pieces]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": stage,
                "base": [float(f"{scale * start:.9g}") for start in starts],
                "x": [float(f"{scale * span:.9g}") for span in spans],
                "y": [piece["engine"] for piece in pieces],
                "text": [escape(run.ops[piece["op"]]["name"]) for piece in pieces],
                "customdata": [
                    f"{piece['engine']} from {quantity(start, 's')} for {quantity(span, 's')}<br>"
                    f"bound by {run.ops[piece['op']]['bound']}"
                    for piece, start, span in zip(pieces, starts, spans, strict=True)
                ],
                "hovertemplate": "<b>%{text}</b><br>%{customdata}<extra></extra>",
                "textposition": "none",
                "marker": {"color": color, "opacity": shades, "line": {"width": 0}},
            }
        )
    return traces
