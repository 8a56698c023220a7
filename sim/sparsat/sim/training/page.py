"""A run as one HTML page that fetches nothing: its loss curve beside PyTorch's."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from sparsat.sim.report.chart import axis, layout


def render(data: dict[str, Any]) -> str:
    """The page of a run's plain form (`Result.to_dict`)."""
    curves = {"loss": "on the machine", "torch_loss": "PyTorch's own float32"}
    figure = go.Figure([_curve(data["log"], key, name) for key, name in curves.items()])
    look = layout(
        title={"text": escape(headline(data))},
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        showlegend=True,
        height=520,
        xaxis=axis("step"),
        yaxis=axis("loss before the step", rangemode="tozero"),
    )
    return figure.update_layout(look).to_html(include_plotlyjs=True, full_html=True)


def headline(data: dict[str, Any]) -> str:
    """What came of it, in one sentence."""
    log = data["log"]
    return (
        f"{data['network']}, {data['pattern']}, on {data['config']['name']}: loss "
        f"{log[0]['loss']:.2f} to {log[-1]['loss']:.2f} in {len(log)} steps, "
        f"{data['accuracy']:.1f} % of the test digits right"
    )


def _curve(log: list[dict[str, Any]], key: str, name: str) -> go.Scatter:
    steps, losses = [row["step"] for row in log], [row[key] for row in log]
    return go.Scatter(x=steps, y=losses, name=name, mode="lines+markers", marker={"size": 4})
