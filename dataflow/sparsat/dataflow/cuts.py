"""Into how many parts things are cut: candidates of a search."""

from collections.abc import Iterator

CHUNKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def sizes(total: int, most: int, step: int = 1, cuts: tuple[int, ...] = CHUNKS) -> Iterator[int]:
    """Different sizes, at most `most`, of `total` cut into so many parts at least, coarse first;
    each also rounded down to a multiple of `step`."""
    found: dict[int, None] = {}
    for parts in cuts:
        size = min(most, -(-total // parts))
        found |= {size: None, size // step * step or size: None}
    return iter(found)
