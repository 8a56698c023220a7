"""The table of a sweep: what each method scores at equal steps and at equal cost.

*final* is the score of the finished, finalised model. *iso-step* is read from each curve at the
smallest number of steps of all compared runs, counting the dense steps that a post-training
method starts from; *iso-MAC* at the smallest total of MACs. Curves are read by linear
interpolation between evaluations, so a method that is still in the middle of its learning rate
schedule at that point is read there, not where a shorter schedule would have taken it.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sparsat.algo.tasks.base import Metric, Task
from sparsat.algo.training.files import read_json
from sparsat.algo.training.log import Row


@dataclass(frozen=True)
class Finished:
    """One finished run: its result and the rows of its log."""

    result: Mapping[str, Any]
    rows: Sequence[Row]

    @classmethod
    def read(cls, folder: Path) -> "Finished":
        return cls(read_json(folder / "result.json"), read_json(folder / "log.json")["rows"])

    @property
    def label(self) -> str:
        """Method and pattern, e.g. "bdwp 2:8"."""
        config = self.result["config"]
        numerics = "" if config["numerics"] == "torch" else f" ({config['numerics']})"
        return " ".join(filter(None, (config["method"], config["pattern"]))) + numerics

    @property
    def total_steps(self) -> int:
        """Optimizer steps from random weights on."""
        return self.result["start_steps"] + self.result["steps"]

    def at(self, axis: str, place: float, metric: str) -> float | None:
        """`metric` where the curve's `axis` ("step" or "macs") is `place`; None outside it."""
        offset = self.result["start_steps"] if axis == "step" else 0
        points = [(row[axis] + offset, row[metric]) for row in self.rows]
        if place == points[-1][0]:
            return points[-1][1]
        for (x0, y0), (x1, y1) in pairwise(points):
            if x0 <= place < x1:
                return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
        return None


@dataclass(frozen=True)
class TableRow:
    """One method over its seeds; `sd` is the sample standard deviation, None of one seed.

    `scores` is by seed, in the order of the seeds. `cost` is the MACs relative to dense training,
    `cpu_seconds` the mean over seeds of this run alone. `extra` holds (mean, sd) of further
    metrics, `matches` which of them count as matching dense.
    """

    label: str
    scores: tuple[float, ...]
    mean: float
    sd: float | None
    iso_step: float | None
    iso_mac: float | None
    steps: int
    cost: float
    cpu_seconds: float
    extra: Mapping[str, tuple[float, float | None]]
    matches: Mapping[str, bool]


@dataclass(frozen=True)
class Table:
    """All methods of a sweep on one task."""

    task: str
    metric: Metric
    extra_metrics: tuple[Metric, ...]
    seeds: tuple[int, ...]
    budget_steps: int
    budget_macs: float
    rows: tuple[TableRow, ...]


def build(task: type[Task], runs: Sequence[Finished]) -> Table:
    """Group `runs` by method and compare them."""
    groups: dict[str, list[Finished]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    steps = min(run.total_steps for run in runs)
    macs = min(run.result["macs"] for run in runs)
    dense = groups.get("dense")
    return Table(
        task.name,
        task.metric,
        task.extra_metrics,
        tuple(sorted({run.result["config"]["seed"] for run in runs})),
        steps,
        macs,
        tuple(_row(task, label, group, dense, steps, macs) for label, group in groups.items()),
    )


def _row(
    task: type[Task],
    label: str,
    runs: list[Finished],
    dense: list[Finished] | None,
    steps: int,
    macs: float,
) -> TableRow:
    runs = sorted(runs, key=lambda run: run.result["config"]["seed"])
    metric = task.metric.name
    scores = tuple(run.result["metrics"][metric] for run in runs)
    extra = {m.name: spread(_values(runs, m.name)) for m in task.extra_metrics}
    return TableRow(
        label,
        scores,
        *spread(scores),
        _mean([run.at("step", steps, metric) for run in runs]),
        _mean([run.at("macs", macs, metric) for run in runs]),
        runs[0].total_steps,
        statistics.fmean(run.result["macs"] / run.result["dense_macs"] for run in runs),
        statistics.fmean(run.result["cpu_seconds"] for run in runs),
        extra,
        _matches(task, runs, dense),
    )


def _values(runs: Sequence[Finished], metric: str) -> list[float]:
    return [run.result["metrics"][metric] for run in runs]


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (None of one value)."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return statistics.fmean(values), sd


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.fmean(known) if len(known) == len(values) else None


def _matches(
    task: type[Task], runs: list[Finished], dense: list[Finished] | None
) -> dict[str, bool]:
    """Which scores reach `task.matching` of the dense mean; empty without a reference."""
    if task.matching is None or dense is None:
        return {}
    return {
        m.name: statistics.fmean(_values(runs, m.name))
        >= task.matching * statistics.fmean(_values(dense, m.name))
        for m in (task.metric, *task.extra_metrics)
        if m.name in task.matched
    }
