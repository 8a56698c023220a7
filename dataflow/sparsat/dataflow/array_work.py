"""How long the array takes for what a plan gives it, whatever the mapping: one closed form for all.

The same compiled function serves the scheduler, plan by plan, and `screen`, all mappings at once.
"""

from typing import NamedTuple

from numba import njit

from sparsat.hw.array_op import FEEDER_ROWS, WORD, slot_period
from sparsat.hw.config import SATConfig
from sparsat.hw.timing import C_TURN, end, first_chunk, pace_of, return_of, tail_of


class ArraySize(NamedTuple):
    """What of a machine the array's time depends on."""

    rows: int
    cols: int
    a_link: int

    @classmethod
    def of(cls, config: SATConfig) -> "ArraySize":
        return cls(config.rows, config.cols, config.a_link)


class Slots(NamedTuple):
    """What of a mapping the array's time depends on; `words`: A comes in k-words."""

    os: int
    n: int
    m: int
    ir: int
    is_: int
    words: int


class Work(NamedTuple):
    """Chunks that are alike.

    Parameters
    ----------
    times : int
        How often all that follows is done.
    chunks : int
        Chunks that are one operation after another, output-stationary a single one.
    parts : int
        Chunks that go one after another into the same sums; then `chunks` is 1.
    fresh : int
        1 if the first of the parts starts from zero, 0 if all of them resume.
    p : int
        Rows of the result in a chunk, of one product.
    taps, k : int
        The reduction: so many values at each of some taps.
    products, q : int
        Products in a chunk, blocks of columns of each.
    """

    times: int
    chunks: int
    parts: int
    fresh: int
    p: int
    taps: int
    k: int
    products: int
    q: int


@njit(cache=True)
def _parts(count, size):
    return (count + size - 1) // size


@njit(cache=True)
def _operation(size, mapping, period, groups, tiles, resume):
    """Cycles of one operation."""
    interleave = mapping.ir * mapping.is_
    os = mapping.os != 0
    pace = pace_of(size.rows, os, groups, period, interleave, resume)
    tail = tail_of(size.rows, size.cols, os, mapping.n, period, interleave)
    return end(pace, first_chunk(pace, 0, 0), tiles) + tail


@njit(cache=True)
def _resumed(size, mapping, period, groups, tiles, parts):
    """Cycles of parts that all resume, in as few operations as can be."""
    interleave = mapping.ir * mapping.is_
    spacing = pace_of(size.rows, True, groups, period, interleave, True).spacing
    if parts and return_of(size.rows, interleave, spacing, tiles) >= C_TURN:
        return _operation(size, mapping, period, groups, tiles * parts, True)
    return parts * _operation(size, mapping, period, groups, tiles, True)


@njit(cache=True)
def least_period(words, m, ir, words_of_tap):
    """Of k-words: a feeder reads 16 channels at once, at the end of a tap maybe for fewer."""
    whole = not words or words_of_tap % (WORD // m) == 0
    return 0 if whole else FEEDER_ROWS * ir


@njit(cache=True)
def cycles_and_slots(size, mapping, work):
    """Cycles of the array for all of `work` under a mapping, and its slots."""
    n, m, ir, is_ = mapping.n, mapping.m, mapping.ir, mapping.is_
    words = _parts(work.k, m)
    groups = max(work.taps * words, 1)
    least = least_period(mapping.words, m, ir, words)
    period = slot_period(n, m, ir, is_, size.a_link, least)
    sets = work.products * _parts(work.q, is_)
    if not mapping.os:
        slots, passes = _parts(work.p, ir), _parts(groups, size.rows)
        passes *= work.times * work.chunks * work.parts
        cycles = passes * _operation(size, mapping, period, slots, sets, False)
        return cycles, passes * sets * slots
    tiles = sets * _parts(work.p, size.rows * ir)
    all_slots = work.times * work.chunks * work.parts * tiles * groups
    cycles = _resumed(size, mapping, period, groups, tiles, work.parts - work.fresh)
    if work.fresh:
        cycles += _operation(size, mapping, period, groups, tiles * work.chunks, False)
    return work.times * cycles, all_slots


class Best(NamedTuple):
    """The mapping and plan of the least estimate: their numbers, the estimate, the slots."""

    estimate: int
    mapping: int
    plan: int
    slots: int


@njit(cache=True)
def best_of_all(size, mappings, works, plan_of, moved):
    """Try every mapping with every plan's tiling.

    Parameters
    ----------
    size : ArraySize
    mappings : int64 [mappings, fields of Slots]
    works : int64 [works, fields of Work]
        Of all plans, those of a plan together.
    plan_of : int64 [works]
        Which plan each belongs to.
    moved : int64 [plans, 3]
        `lines()` of each.
    """
    best = Best(-1, 0, 0, 0)
    for i in range(len(mappings)):
        x = mappings[i]
        mapping = Slots(x[0], x[1], x[2], x[3], x[4], x[5])
        at = 0
        for plan in range(len(moved)):
            total, first, last = moved[plan]
            cycles = slots = 0
            while at < len(works) and plan_of[at] == plan:
                w = works[at]
                work = Work(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8])
                more = cycles_and_slots(size, mapping, work)
                cycles, slots, at = cycles + more[0], slots + more[1], at + 1
            estimate = max(cycles, total) + first + last
            if best.estimate < 0 or estimate < best.estimate:
                best = Best(estimate, i, plan, slots)
    return best
