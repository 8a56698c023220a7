"""What a configuration costs and how fast it could run, without running Yosys.

A block's cost is that at the reference plus, for every field it depends on, what changing that
field alone changed (`measured.json`), interpolated between the values that were measured: linearly,
and in the logarithm of a scratchpad's size. Scratchpads are counted by `memories`, and `floorplan`
finds whether a machine fits a device.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from math import log2

import numpy as np

from sparsat.hw import measure
from sparsat.hw.blocks import BLOCKS, REFERENCE, VARIED, Block, value_of
from sparsat.hw.config import SATConfig
from sparsat.hw.device import KINDS

CLOCK_MARGIN = 1.1
"""The estimated path knows no distance, fan-out or congestion: by this much it may be longer."""
CLOCK_STEP_HZ = 5e6
BETWEEN = "from block to block"


class _Curve:
    """A block's costs and path over one field, as differences from the reference."""

    def __init__(self, field: str, points: list[tuple[float, np.ndarray]]) -> None:
        self._log = field.endswith("_kib")
        points = sorted(points, key=lambda point: point[0])
        self._x = [self._scale(value) for value, _ in points]
        self._y = np.array([cost for _, cost in points])

    def _scale(self, value: float) -> float:
        return log2(value) if self._log else float(value)

    def at(self, value: float) -> np.ndarray:
        """Between the neighbours, beyond the last ones as they go on."""
        x = self._scale(value)
        i = min(max(int(np.searchsorted(self._x, x)), 1), len(self._x) - 1)
        part = (x - self._x[i - 1]) / (self._x[i] - self._x[i - 1])
        return self._y[i - 1] + part * (self._y[i] - self._y[i - 1])


@cache
def _samples() -> dict[str, list[measure.Sample]]:
    by_block: dict[str, list[measure.Sample]] = defaultdict(list)
    for sample in measure.read():
        by_block[sample.block].append(sample)
    return by_block


def samples_of(block: str) -> list[measure.Sample]:
    """What was measured of a block, or of "sat"."""
    return _samples().get(block, [])


@cache
def _measured() -> dict[str, tuple[np.ndarray, dict[str, _Curve]]]:
    """Of each block: its costs at the reference, its curves."""
    return {block.name: _curves(block, samples_of(block.name)) for block in BLOCKS}


def _curves(block: Block, samples: list[measure.Sample]) -> tuple[np.ndarray, dict[str, _Curve]]:
    costs = {(sample.field, sample.value): _costs(block, sample) for sample in samples}
    base = costs["", 0]
    zero = np.zeros_like(base)
    curves: dict[str, _Curve] = {}
    for field in block.fields:
        found = [(value, costs[field, value] - base) for value in VARIED[field]]
        curves[field] = _Curve(field, [(value_of(REFERENCE, field), zero), *found])
    return base, curves


def _costs(block: Block, sample: measure.Sample) -> np.ndarray:
    """[amounts and path]."""
    found = sample.resources
    memory = (0, 0) if block.scratch else (found.bram18, found.uram)
    return np.array([found.lut, found.ff, found.dsp, *memory, sample.path_ps], float)


@dataclass(frozen=True)
class BlockCost:
    """A kind of block: how many, where they lie, what one takes [kinds], its slowest path."""

    name: str
    count: int
    place: str
    each: np.ndarray
    path_ps: float


@dataclass(frozen=True)
class Cost:
    """What a machine takes, but for its scratchpads."""

    config: SATConfig
    blocks: list[BlockCost]

    @cached_property
    def total(self) -> np.ndarray:
        """[kinds]"""
        return self._sum(self.blocks)

    @property
    def lut(self) -> float:
        return float(self.total[0])

    def at(self, place: str) -> np.ndarray:
        """[kinds] of what lies there."""
        return self._sum([block for block in self.blocks if block.place == place])

    def _sum(self, blocks: list[BlockCost]) -> np.ndarray:
        counts = np.array([block.count for block in blocks], float)
        return counts @ np.array([block.each for block in blocks])

    @property
    def slowest(self) -> BlockCost:
        return max(self.blocks, key=lambda block: block.path_ps)

    @property
    def clock_hz(self) -> float:
        """The estimated path with `CLOCK_MARGIN`, in whole steps."""
        hz = 1e12 / (self.slowest.path_ps * CLOCK_MARGIN)
        return hz // CLOCK_STEP_HZ * CLOCK_STEP_HZ


def cost(config: SATConfig) -> Cost:
    """The estimate."""
    return Cost(config, [*(_cost_of(block, config) for block in BLOCKS), _between()])


def _between() -> BlockCost:
    """What lies between blocks: the slowest path of the designs that were mapped whole, whatever
    the size."""
    path_ps = max(sample.path_ps for sample in samples_of("sat"))
    return BlockCost(BETWEEN, 1, "home", np.zeros(len(KINDS)), path_ps)


def _cost_of(block: Block, config: SATConfig) -> BlockCost:
    base, curves = _measured()[block.name]
    found = base + sum(curve.at(value_of(config, field)) for field, curve in curves.items())
    found = np.maximum(found, 0)
    each, path_ps = found[: len(KINDS)], float(found[-1])
    return BlockCost(block.name, block.count(config), block.place, each, path_ps)
