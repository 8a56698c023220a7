"""The least and greatest address of a loop nest, in closed form: exact, whatever the counts."""

from collections.abc import Iterable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np

MAX_COMBINATIONS = 1 << 20
"""Most combinations of coordinates `padded_span` goes through."""


class Dim(NamedTuple):
    """A loop from `first` on; each turn adds `step` to an address, `y` and `x` to coordinates."""

    turns: int
    step: int
    y: int = 0
    x: int = 0
    first: int = 0

    def ends(self) -> tuple[int, int]:
        """The least and greatest it adds to the address."""
        low, high = sorted((self.step * self.first, self.step * (self.first + self.turns - 1)))
        return low, high


class Window(NamedTuple):
    """The coordinates of the nest's first turn, and the sizes they must stay below."""

    y: int
    x: int
    height: int
    width: int


Span = tuple[int, int]


def span(base: int, dims: Iterable[Dim]) -> Span:
    """The least and greatest `base` + Σ index · step."""
    ends = [dim.ends() for dim in dims]
    return base + sum(low for low, _ in ends), base + sum(high for _, high in ends)


def residues(base: int, dims: Iterable[Dim], modulus: int) -> set[int]:
    """All `base` + Σ index · step, modulo `modulus`."""
    found = {base % modulus}
    for dim in dims:
        if dim.step % modulus:
            turns = range(dim.first, dim.first + min(dim.turns, modulus))
            found = {(start + dim.step * turn) % modulus for start in found for turn in turns}
    return found


def padded_span(base: int, dims: Iterable[Dim], window: Window) -> Span | None:
    """As `span`, over the turns with 0 ≤ y < height and 0 ≤ x < width; None if there are none.

    Goes through all combinations of the dimensions that move y or x, but for the longest of those
    that move y alone, and of those that move x alone. Raises ValueError if these are too many.
    """
    dims = list(dims)
    low, high = span(base, (dim for dim in dims if not dim.y and not dim.x))
    moving = [dim for dim in dims if dim.y or dim.x]
    along_y = max((dim for dim in moving if not dim.x), default=Dim(1, 0))
    along_x = max((dim for dim in moving if not dim.y), default=Dim(1, 0))
    for dim in {along_y, along_x} & set(moving):
        moving.remove(dim)
    step, y, x = _combinations(moving)
    y_low, y_high, y_valid = _within(y + window.y, window.height, along_y, along_y.y)
    x_low, x_high, x_valid = _within(x + window.x, window.width, along_x, along_x.x)
    valid = y_valid & x_valid
    if not valid.any():
        return None
    return (
        low + int((step + y_low + x_low)[valid].min()),
        high + int((step + y_high + x_high)[valid].max()),
    )


def prefix(total: int, *counts: int) -> Iterator[tuple[Span, ...]]:
    """The numbers below `total` in mixed radix, as boxes: (first, count) of each digit.

    `counts` are the radixes of the lower digits, the lowest first; the last digit is the rest.
    """
    digits, rest = [], total
    for count in counts:
        digits.append(rest % count)
        rest //= count
    digits.append(rest)
    for place in reversed(range(len(digits))):
        if digits[place]:
            whole = tuple((0, count) for count in counts[:place])
            above = tuple((digit, 1) for digit in digits[place + 1 :])
            yield (*whole, (0, digits[place]), *above)


def _combinations(dims: list[Dim]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the dimensions add to address, y and x: int64 [combinations] each."""
    size = prod(dim.turns for dim in dims)
    if size > MAX_COMBINATIONS:
        raise ValueError(f"{size} combinations of y and x, at most {MAX_COMBINATIONS} are checked")
    sums = np.zeros((3, 1), np.int64)
    for dim in dims:
        index = np.arange(dim.first, dim.first + dim.turns)
        added = np.array([[dim.step], [dim.y], [dim.x]]) * index
        sums = (sums[:, :, None] + added[:, None, :]).reshape(3, -1)
    return sums[0], sums[1], sums[2]


def _within(
    start: np.ndarray, size: int, dim: Dim, move: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ends of `dim`'s addresses where 0 ≤ start + index · move < size, and whether any is."""
    first, last = dim.first, dim.first + dim.turns - 1
    if move:
        below, above = -start, size - 1 - start
        if move < 0:
            below, above = above, below
        first = np.maximum(first, -(-below // move))
        last = np.minimum(last, above // move)
        valid = first <= last
    else:
        valid = (start >= 0) & (start < size)
    ends = dim.step * first, dim.step * last
    return np.minimum(*ends), np.maximum(*ends), valid
