"""The runs that a report shows: the step itself and, where that is sparse, its dense twin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

COLORS = {
    "FF": "#0072b2",
    "BP": "#e69f00",
    "WU": "#009e73",
    "UPDATE": "#cc79a7",
    "VECTOR": "#8b929c",
}
"""Of the stages, in the order in which they are shown; Okabe and Ito's, told apart by all eyes."""
BOUNDS = ("compute", "memory", "fill", "drain", "vector")

Op = dict[str, Any]
Stages = dict[str, int]
"""Cycles by stage."""


@dataclass(frozen=True)
class Run:
    """`name` is the pattern or "dense"; the rest is as in `render`'s data."""

    name: str
    totals: dict[str, Any]
    ops: list[Op]
    timeline: list[dict[str, Any]]


def runs_of(data: dict[str, Any]) -> list[Run]:
    """The step, then the dense one unless the step itself is dense.

    ValueError where the two are not the same operations.
    """
    if [op["name"] for op in data["ops"]] != [op["name"] for op in data["dense_ops"]]:
        raise ValueError("dense_ops must be the operations of ops, in the same order")
    timeline = data["timeline"]
    runs = [Run(data["pattern"], data["totals"], data["ops"], timeline["sparse"])]
    if data["pattern"] != "dense":
        runs.append(Run("dense", data["dense"], data["dense_ops"], timeline["dense"]))
    return runs


def cycles_by(ops: list[Op], key: Callable[[Op], str]) -> dict[str, Stages]:
    """Cycles by `key` and stage, in order of appearance."""
    found: dict[str, Stages] = {}
    for op in ops:
        stages = found.setdefault(key(op), {})
        stages[op["stage"]] = stages.get(op["stage"], 0) + op["cycles"]
    return found
