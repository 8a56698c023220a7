"""Learning curves of a sweep as one self-contained HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsat.algo.tasks.base import Task
from sparsat.algo.training.files import write_atomic
from sparsat.algo.training.table import Finished

AXES = (("step", "optimizer steps"), ("macs", "MACs of training"))


def draw(path: Path, task: type[Task], runs: Sequence[Finished]) -> None:
    """Write the score of every run over steps and over MACs to `path` (HTML, works offline)."""
    import plotly.graph_objects as go
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    titles = [f"by {title}" for _, title in AXES]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=titles)
    labels = list(dict.fromkeys(run.label for run in runs))
    palette = qualitative.Dark24
    for run in runs:
        color = palette[labels.index(run.label) % len(palette)]
        for column, (axis, _) in enumerate(AXES, start=1):
            figure.add_trace(go.Scatter(**_trace(task, run, axis, color)), row=1, col=column)
    _show_each_label_once(figure)
    for column, (_, title) in enumerate(AXES, start=1):
        figure.update_xaxes(title_text=title, row=1, col=column)
    figure.update_yaxes(title_text=f"{task.metric.name} ({task.metric.unit})", row=1, col=1)
    figure.update_layout(title=f"SparSAT: {task.name}", template="plotly_white", height=600)
    write_atomic(path, figure.to_html(include_plotlyjs=True, full_html=True))


def _trace(task: type[Task], run: Finished, axis: str, color: str) -> dict[str, Any]:
    """One run's curve; all runs of a method share a legend entry."""
    offset = run.result["start_steps"] if axis == "step" else 0
    return {
        "x": [row[axis] + offset for row in run.rows],
        "y": [row[task.metric.name] for row in run.rows],
        "name": run.label,
        "legendgroup": run.label,
        "mode": "lines+markers",
        "line": {"color": color, "width": 1.5},
        "marker": {"size": 4},
        "hovertext": f"{run.label}, seed {run.result['config']['seed']}",
    }


def _show_each_label_once(figure: Any) -> None:
    seen: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.legendgroup not in seen
        seen.add(trace.legendgroup)
