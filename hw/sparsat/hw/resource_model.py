"""What a configuration costs and how fast it could run, without running Yosys.

A block's cost is that at the reference plus, for every field it depends on, what changing that
field alone changed (`measured.json`), interpolated between the values that were measured: linearly,
and in the logarithm of a scratchpad's size. Scratchpads are counted by `memories`.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import log2

import numpy as np

from sparsat.hw import measure
from sparsat.hw.blocks import BLOCKS, REFERENCE, VARIED, Block, value_of
from sparsat.hw.config import SATConfig
from sparsat.hw.device import KINDS, LIMIT, Amount, Device
from sparsat.hw.memories import Scratchpad, scratchpads

CLOCK_MARGIN = 1.1
"""The estimated path knows no distance, fan-out or congestion: by this much it may be longer."""
CLOCK_STEP_HZ = 5e6


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
    """All of a kind of block: how many, what one takes, its slowest path."""

    name: str
    count: int
    each: Amount
    path_ps: float
    by_row: bool


@dataclass(frozen=True)
class Cost:
    """What a configuration takes: its blocks, and its scratchpads in the memories chosen."""

    config: SATConfig
    blocks: list[BlockCost]
    scratch: list[tuple[Scratchpad, Amount]]

    @cached_property
    def total(self) -> Amount:
        return self.fixed + self.rows

    @cached_property
    def rows(self) -> Amount:
        """Of what goes where the array's rows go."""
        return self._sum(by_row=True)

    @cached_property
    def fixed(self) -> Amount:
        """Of everything else."""
        return self._sum(by_row=False)

    def _sum(self, *, by_row: bool) -> Amount:
        blocks = (each.each * each.count for each in self.blocks if each.by_row == by_row)
        memories = (amount for memory, amount in self.scratch if memory.by_row == by_row)
        return sum((*blocks, *memories), Amount())

    @property
    def slowest(self) -> BlockCost:
        return max(self.blocks, key=lambda block: block.path_ps)

    @property
    def clock_hz(self) -> float:
        """The estimated path with `CLOCK_MARGIN`, in whole steps."""
        hz = 1e12 / (self.slowest.path_ps * CLOCK_MARGIN)
        return hz // CLOCK_STEP_HZ * CLOCK_STEP_HZ


def cost(config: SATConfig, device: Device | None = None) -> Cost:
    """The estimate; scratchpads go where they leave most of `device` (default: UltraRAM)."""
    blocks = [_cost_of(block, config) for block in BLOCKS]
    return Cost(config, blocks, _place_memories(scratchpads(config), device))


def _cost_of(block: Block, config: SATConfig) -> BlockCost:
    base, curves = _measured()[block.name]
    found = base + sum(curve.at(value_of(config, field)) for field, curve in curves.items())
    found = np.maximum(found, 0)
    amount = Amount(*map(float, found[: len(KINDS)]))
    return BlockCost(block.name, block.count(config), amount, float(found[-1]), block.by_row)


def _place_memories(
    memories: list[Scratchpad], device: Device | None
) -> list[tuple[Scratchpad, Amount]]:
    """Each kind in block RAM or in UltraRAM, so that the fuller of the two is least full."""
    kinds = [(Amount(uram=each.uram), Amount(bram18=each.bram18)) for each in memories]
    choices = product(*kinds)
    if device is None:
        return list(zip(memories, next(choices), strict=True))
    best = min(choices, key=lambda chosen: sum(chosen, Amount()).share(device.available)[0])
    return list(zip(memories, best, strict=True))


@dataclass(frozen=True)
class Fit:
    """How a configuration lies on a device's dies: the die of what is not rows, the rows on each,
    what of each die is then used. `reason` says why it does not fit, "" if it does."""

    home: int
    rows: tuple[int, ...]
    used: tuple[Amount, ...]
    reason: str = ""

    @property
    def fits(self) -> bool:
        return not self.reason


def fit(cost: Cost, device: Device, limit: float = LIMIT) -> Fit:
    """Rows go in bands over the dies, as many on each as it has room for; everything else is on one
    of them, that which leaves most rows their place."""
    row = cost.rows * (1 / cost.config.rows)
    found = [_on(cost, device, limit, row, home) for home in range(len(device.left))]
    return min(found, key=lambda each: (not each.fits, _fullest(each, device)))


def _on(cost: Cost, device: Device, limit: float, row: Amount, home: int) -> Fit:
    room = [die * limit for die in device.left]
    share, name = cost.fixed.share(room[home])
    if share > 1:
        return _does_not(home, f"what is not rows takes {share * limit:.0%} of a die's {name}")
    taken = [cost.fixed if die == home else Amount() for die in range(len(room))]
    most = [_rows_in(there, used, row) for there, used in zip(room, taken, strict=True)]
    if sum(most) < cost.config.rows:
        name = (cost.total).share(device.available)[1]
        return _does_not(home, f"{sum(most)} rows find room, it has {cost.config.rows} ({name})")
    rows = _spread(cost.config.rows, most)
    used = tuple(base + row * count for base, count in zip(taken, rows, strict=True))
    return Fit(home, tuple(rows), used)


def _rows_in(room: Amount, used: Amount, row: Amount) -> int:
    """Rows that find room beside what is used."""
    return min(
        int((getattr(room, name) - getattr(used, name)) // getattr(row, name))
        for name in KINDS
        if getattr(row, name) > 0
    )


def _spread(rows: int, most: list[int]) -> list[int]:
    """Rows on each die in proportion to its room."""
    found = [rows * each // sum(most) for each in most]
    for die in sorted(range(len(most)), key=lambda die: found[die] - most[die]):
        found[die] += min(rows - sum(found), most[die] - found[die])
    return found


def _does_not(home: int, reason: str) -> Fit:
    return Fit(home, (), (), reason)


def _fullest(found: Fit, device: Device) -> float:
    pairs = zip(found.used, device.left, strict=False)
    return max((used.share(die)[0] for used, die in pairs), default=0.0)
