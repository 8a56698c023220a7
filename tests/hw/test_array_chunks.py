"""When each slot is issued while chunks are late: the formulas of `timing` against the array."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pytest
from numba import njit

from array_cases import BFLOAT, PATTERNS, interleaves
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.timing import (
    Pace,
    array_pace,
    array_tail,
    end,
    first_chunk,
    issue,
    next_chunk,
    return_time,
    sums_return,
)
from sparsat.hw.tools.array_model import ArrayStreams

TINY, SMALL = preset("tiny"), preset("small")
PER_CONFIG = 250


@dataclass(frozen=True)
class Late:
    """An operation with the tiles of its chunks, and the cycle in which each chunk is ready."""

    op: ArrayOp
    tiles: list[int]
    ready: list[int]


def chunks_of(rng: random.Random, tiles: int) -> list[int]:
    """Split tiles at random, often into single ones."""
    cuts = [tile for tile in range(1, tiles) if rng.random() < 0.6]
    return [b - a for a, b in zip([0, *cuts], [*cuts, tiles], strict=True)]


def late_operation(rng: random.Random, config: SATConfig) -> Late:
    """Chunks that come early, just in time and late, in any order."""
    n, m = rng.choice(PATTERNS)
    ir, is_ = rng.choice(interleaves(config, n, m))
    orders = list(Order) if n == m else [Order.K]
    op = ArrayOp(
        dataflow=rng.choice([Dataflow.OS, Dataflow.OS, Dataflow.WS]),
        n=n,
        m=m,
        ir=ir,
        is_=is_,
        groups=rng.choice([1, 1, 2, 3, rng.randint(1, 12)]),
        tiles=rng.randint(1, 7),
        a_order=rng.choice(orders),
        b_order=rng.choice(orders),
        resume=rng.random() < 0.5,
        least_period=rng.choice([0, 0, rng.randint(1, 100)]),
    )
    whole = op.dataflow is Dataflow.WS
    tiles = [op.tiles] if whole else chunks_of(rng, op.tiles)
    slowest = max(op.groups * op.period(config), config.rows * op.interleave)
    mean = rng.choice([0.3, 1.0, 1.0, 2.0]) * slowest
    steps = [rng.randint(0, 2 * int(mean * count)) for count in [0.2, *tiles[:-1]]]
    return Late(op, tiles, list(accumulate(steps)))


def some_operations(config: SATConfig) -> list[Late]:
    rng = random.Random(f"late chunks of {config.name}")
    return [late_operation(rng, config) for _ in range(PER_CONFIG)]


def zeros(config: SATConfig, ops: Sequence[ArrayOp]) -> ArrayStreams:
    """As many zeros as the operations take."""

    def ports(count: int, words: int) -> list[np.ndarray]:
        return [np.zeros(words, np.uint32) for _ in range(count)]

    a = b = c = sums = 0
    for op in ops:
        os, slots = op.dataflow is Dataflow.OS, op.tiles * op.groups
        outputs = op.interleave * (op.tiles * config.rows if os else slots)
        a += slots * op.load_a(config)
        b += op.load_b * (slots if os else op.tiles * config.rows)
        c += outputs * op.resume
        sums += outputs
    return ArrayStreams(
        ports(config.rows, a), ports(config.cols, b), ports(config.cols, c), sums=sums
    )


def predicted(config: SATConfig, late: Late, taken: int = 0) -> tuple[list[int], int]:
    """The cycle of each slot of an operation taken in cycle `taken`, and that of its end."""
    pace, slots, free = array_pace(config, late.op), [], 0
    chunk = (0, 0)
    for number, (tiles, ready) in enumerate(zip(late.tiles, late.ready, strict=True)):
        if number == 0:
            chunk = first_chunk(pace, taken, taken + ready)
        else:
            chunk = next_chunk(pace, free, taken + ready)
        slots += [issue(pace, chunk, slot) for slot in range(tiles * pace.groups)]
        free = issue(pace, chunk, tiles * pace.groups)
    return slots, end(pace, chunk, late.tiles[-1])


def first_slots(late: Late, mark: Sequence[int]) -> np.ndarray:
    """`mark` at the first slot of each chunk, and 0 elsewhere."""
    return np.array(
        [
            cycle if slot == 0 else 0
            for tiles, cycle in zip(late.tiles, mark, strict=True)
            for slot in range(tiles * late.op.groups)
        ]
    )


@pytest.mark.parametrize("config", [TINY, SMALL, BFLOAT], ids=lambda config: config.name)
def test_the_operations_cover_what_matters(config):
    lates = some_operations(config)
    early, held, drain_bound = 0, 0, 0
    for late in lates:
        issued = np.array(predicted(config, late)[0])
        waits = first_slots(late, late.ready)
        in_time = Late(late.op, late.tiles, [0] * len(late.tiles))
        held += bool((issued == waits).any())
        early += issued.tolist() == predicted(config, in_time)[0]
        pace = array_pace(config, late.op)
        drain_bound += late.op.dataflow is Dataflow.OS and pace.spacing > pace.opening
    assert min(early, held, drain_bound) > 25
    for choice in (
        [late for late in lates if late.op.dataflow is Dataflow.WS],
        [late for late in lates if late.op.resume and late.op.dataflow is Dataflow.OS],
        [late for late in lates if late.op.groups == 1 and len(late.tiles) > 1],
        [late for late in lates if late.op.resume and len(late.tiles) > 1],
        [late for late in lates if len(late.tiles) > 2],
        [late for late in lates if late.op.dense],
    ):
        assert len(choice) > 25


@pytest.mark.parametrize("config", [TINY, SMALL, BFLOAT], ids=lambda config: config.name)
def test_slots_and_ends_are_the_arrays_to_the_cycle(array_model, config):
    lates = some_operations(config)
    ops = [late.op for late in lates]
    ready = np.concatenate([first_slots(late, late.ready) for late in lates])
    run = array_model(config).run(ops, zeros(config, ops), ready=ready)
    slots = np.cumsum([op.tiles * op.groups for op in ops])[:-1]
    for late, issued, cycles in zip(lates, np.split(run.issued, slots), run.cycles, strict=True):
        expected, over = predicted(config, late)
        assert issued.tolist() == expected, late
        assert cycles == over + array_tail(config, late.op), late


def chained(rng: random.Random, config: SATConfig) -> Late:
    """Chunks of as many tiles each, all resumed, of little to do and some of them late."""
    late = late_operation(rng, config)
    chunks, tiles = rng.randint(2, 4), rng.randint(2, 5)
    op = replace(
        late.op,
        dataflow=Dataflow.OS,
        groups=rng.choice([1, 1, 2]),
        tiles=chunks * tiles,
        resume=True,
    )
    ready = [rng.choice([0, 0, rng.randint(0, 3000)]) for _ in range(chunks)]
    return Late(op, [tiles] * chunks, ready)


@pytest.mark.parametrize("config", [TINY, SMALL, BFLOAT], ids=lambda config: config.name)
def test_sums_are_back_when_the_next_chunk_needs_them(array_model, config):
    """From a sum's way out to its like's way in a chunk later it takes `return_time` at least."""
    rng = random.Random(f"chained chunks of {config.name}")
    lates = [chained(rng, config) for _ in range(150)]
    ops = [late.op for late in lates]
    ready = np.concatenate([first_slots(late, late.ready) for late in lates])
    run = array_model(config).run(ops, zeros(config, ops), ready=ready)
    per_tile = [config.rows * op.interleave for op in ops]
    ends = np.cumsum([op.tiles * sums for op, sums in zip(ops, per_tile, strict=True)])[:-1]
    taken, given = (np.split(cycles.astype(int), ends) for cycles in (run.taken, run.given))
    spare = []
    for late, sums, enters, leaves in zip(lates, per_tile, taken, given, strict=True):
        of_a_chunk = late.tiles[0] * sums
        least = (enters[of_a_chunk:] - leaves[:-of_a_chunk]).min()
        spare.append(least - return_time(config, replace(late.op, tiles=late.tiles[0])))
    assert min(spare) == 0


def test_which_chunks_are_one_operation():
    """Those of enough tiles, however short, that a column's eight cycles of C do not hold up."""
    op = ArrayOp(dataflow=Dataflow.OS, n=2, m=8, ir=1, is_=1, groups=1, tiles=4, resume=True)
    assert not sums_return(SMALL, op)
    assert sums_return(SMALL, replace(op, tiles=5))
    assert not sums_return(SMALL, replace(op, tiles=2, groups=1000))
    assert not sums_return(SMALL, replace(op, tiles=100, dataflow=Dataflow.WS))


def test_cycles_count_from_the_one_in_which_the_operation_is_taken():
    for late in some_operations(TINY)[:50]:
        slots, over = predicted(TINY, late)
        assert predicted(TINY, late, taken=1000) == ([slot + 1000 for slot in slots], over + 1000)


@njit
def compiled_end(pace: Pace, taken: int, ready: int, late: int, tiles: int) -> int:
    """The end of an operation of two chunks."""
    chunk = first_chunk(pace, taken, ready)
    chunk = next_chunk(pace, issue(pace, chunk, tiles * pace.groups), late)
    return end(pace, chunk, tiles)


def test_numba_compiles_the_formulas():
    op = ArrayOp(dataflow=Dataflow.OS, n=2, m=8, ir=4, is_=4, groups=3, tiles=4)
    pace = array_pace(SMALL, op)
    args = (pace, 5, 0, 1000, 2)
    assert compiled_end(*args) == compiled_end.py_func(*args) == 1000 + 2 * pace.spacing
