"""Pareto fronts: designs than which no other is better in every way."""

from collections.abc import Sequence

import numpy as np

GRAIN = 1.02
"""Of designs that differ by less than this factor in everything, one is enough."""


def pareto(points: np.ndarray) -> np.ndarray:
    """Indices of the rows of `points` [designs, objectives] that no other row dominates, that is,
    is at most as large everywhere and smaller somewhere. Of equal rows the first."""
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    for index in order:
        front = points[kept]
        if not len(kept) or not (front <= points[index]).all(axis=1).any():
            kept.append(int(index))
    return np.array(sorted(kept), np.int64)


def coarse(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Positive points in grains of a factor of `GRAIN`, so that fronts stay short."""
    return np.floor(np.log(np.array(points, float)) / np.log(GRAIN))
