"""Pareto fronts, against the definition."""

import numpy as np
import pytest

from sparsat.sim.explore.front import coarse, pareto


def dominated(points: np.ndarray, index: int) -> bool:
    """By the definition, one pair at a time."""
    return any(
        all(a <= b for a, b in zip(other, points[index], strict=True))
        and any(a < b for a, b in zip(other, points[index], strict=True))
        for other in points
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nothing_dominates(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, rng.integers(2, 9), (rng.integers(1, 40), 3)).astype(float)
    front = pareto(points)
    free = [i for i in range(len(points)) if not dominated(points, i)]
    first = {tuple(points[i]): i for i in reversed(free)}  # of equal points the first
    assert front.tolist() == sorted(first.values())


def test_grains_are_of_two_percent():
    one, same, other = coarse([(1.001, 100.0), (1.002, 100.1), (1.03, 100.0)])
    assert (one == same).all()
    assert one[0] < other[0]
