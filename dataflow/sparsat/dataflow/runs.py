"""Nested loops over rows of C and memory, joined where one goes on where the other ends."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """`count` steps, each `c` rows of C and `stride` bytes of memory further."""

    count: int
    c: int
    stride: int


def store_levels(levels: list[Level]) -> dict[str, int]:
    """Fields of STORE for loops given inner first; the innermost goes from row to row of memory.

    ValueError if more than four remain: that would be a bug of the caller.
    """
    joined = levels[:1]
    for level in levels[1:]:
        inner = joined[-1]
        if level.count == 1:
            continue
        if inner.count == 1 and len(joined) == 1 and level.stride == inner.stride:
            joined = [level]
        elif (inner.count * inner.c, inner.count * inner.stride) == (level.c, level.stride):
            joined[-1] = Level(inner.count * level.count, inner.c, inner.stride)
        else:
            joined.append(level)
    if len(joined) > 4:
        raise ValueError(f"STORE has four loops, {len(joined)} are needed: {joined}")
    fields = {"rows": joined[0].count, "c_row": joined[0].c}
    for number, level in enumerate(joined[1:], 1):
        fields |= {
            f"d{number}_count": level.count,
            f"d{number}_c": level.c,
            f"d{number}_stride": level.stride,
        }
    return fields
