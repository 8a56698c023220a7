"""Whether a machine fits a device, and how it lies on the dies.

The array's rows are a band from die to die, with their feeders and copies of A. The sides of B and
C are each on one die, everything else on another or the same; a scratchpad is in block RAM or in
UltraRAM.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from sparsat.hw.blocks import PLACES
from sparsat.hw.device import KINDS, LIMIT, Device
from sparsat.hw.memories import scratchpads
from sparsat.hw.resource_model import Cost


@dataclass(frozen=True)
class Fit:
    """How a machine lies on a device.

    Parameters
    ----------
    homes : dict of str to int
        The die of the B side, the C side and the rest, by place.
    rows : tuple of int
        Rows of the array on each die.
    memories : dict of str to str
        The kind of memory of each scratchpad.
    used : np.ndarray
        [dies, kinds].
    reason : str
        Why it does not fit, "" if it does.
    """

    homes: dict[str, int]
    rows: tuple[int, ...]
    memories: dict[str, str]
    used: np.ndarray
    reason: str = ""

    @property
    def fits(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class _Group:
    """What lies together: its amounts [kinds] for each choice of memories."""

    choices: list[tuple[dict[str, str], np.ndarray]]

    def best(self, left: np.ndarray, room: np.ndarray) -> tuple[dict[str, str], np.ndarray]:
        """The choice that leaves most of what a die would then have least of."""
        return max(self.choices, key=lambda choice: float(((left - choice[1]) / room).min()))


def fit(cost: Cost, device: Device, limit: float = LIMIT) -> Fit:
    """The first way that fits: rest, B side and C side on as few dies as can be."""
    room = device.dies * limit
    groups = {place: _group(cost, place) for place in PLACES}
    rows, most = cost.config.rows, -1
    if (lacking := _least(groups, room)) is not None:
        return _does_not(f"it takes {lacking[1]:.0%} of the {lacking[0]} that it may")
    for homes in _homes(len(room)):
        for memories, amount in groups["row"].choices:
            row = amount / rows
            placed = _place(groups, homes, room, row)
            if placed is None:
                continue
            left, chosen = placed
            found = np.maximum(np.floor(_rows_in(left, row) + 1e-9), 0).astype(int)
            most = max(most, int(found.sum()))
            if most >= rows:
                spread = _spread(rows, found, homes["home"])
                used = room - left + np.outer(spread, row)
                return Fit(homes, tuple(spread), memories | chosen, used)
    if most < 0:
        return _does_not("what is not rows finds no die with room for it")
    return _does_not(f"{most} rows find room, it has {rows}")


def _group(cost: Cost, place: str) -> _Group:
    logic = cost.at(place)
    pads = [each for each in scratchpads(cost.config) if each.place == place]
    choices = []
    for kinds in product(("uram", "bram18"), repeat=len(pads)):
        amount = logic.copy()
        for pad, kind in zip(pads, kinds, strict=True):
            amount[KINDS.index(kind)] += getattr(pad, kind)
        choices.append(({pad.name: kind for pad, kind in zip(pads, kinds, strict=True)}, amount))
    return _Group(choices)


def _least(groups: dict[str, _Group], room: np.ndarray) -> tuple[str, float] | None:
    """A resource of which there is too little on all dies together, whatever the memories."""
    least = sum(
        np.min([amount for _, amount in group.choices], axis=0) for group in groups.values()
    )
    shares = least / room.sum(axis=0)
    worst = int(shares.argmax())
    return (KINDS[worst], float(shares[worst])) if shares[worst] > 1 else None


def _homes(dies: int) -> list[dict[str, int]]:
    """All ways, those of fewer dies first."""
    places = [place for place in PLACES if place != "row"]
    ways = sorted(product(range(dies), repeat=len(places)), key=lambda way: (len(set(way)), way))
    return [dict(zip(places, way, strict=True)) for way in ways]


def _place(
    groups: dict[str, _Group], homes: dict[str, int], room: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, dict[str, str]] | None:
    """What is left [dies, kinds] when all but the rows is placed, and the memories; None if some
    die is full."""
    left = room.copy()
    chosen: dict[str, str] = {}
    for place, die in homes.items():
        memories, amount = groups[place].best(left[die], room[die])
        left[die] -= amount
        chosen |= memories
        if (left[die] < 0).any():
            return None
    return left, chosen


def _rows_in(left: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Rows that there is room for on each die, not whole."""
    taken = row > 0
    return (left[:, taken] / row[taken]).min(axis=1)


def _spread(rows: int, most: np.ndarray, home: int) -> list[int]:
    """Rows on each die: as many as there is room for, from `home` on outwards."""
    found = [0] * len(most)
    for die in sorted(range(len(most)), key=lambda die: abs(die - home)):
        found[die] = min(int(most[die]), rows - sum(found))
    return found


def _does_not(reason: str) -> Fit:
    return Fit({}, (), {}, np.zeros((0, len(KINDS))), reason)
