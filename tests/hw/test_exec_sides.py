"""The B and C sides of EXEC: words that columns take, rows that sums go to and come from, as the
functional simulator reads docs/isa.md, at the times at which the array takes and gives them."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from exec_bench import Trace, chunks_of, run
from exec_cases import random_execs
from sparsat.hw import b_side, c_side
from sparsat.hw.b_side import BSide
from sparsat.hw.c_side import CSide
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.isa.instructions import Advance, Exec
from sparsat.hw.isa.site import half_rows_b, half_rows_c
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.parts import Parts
from sparsat.hw.store_lines import READ
from sparsat.hw.timing import sums_return
from sparsat.sim.engines.decoded import array_op
from sparsat.sim.functional.addresses import Piece, pieces, sum_rows

TINY = preset("tiny").with_(rows=2, axi_bits=128, a_scratch_kib=1, b_scratch_kib=1, c_scratch_kib=1)
CONFIGS = (TINY, TINY.with_(rows=3, b_scratch_kib=3), TINY.with_(rows=1, axi_bits=512))


class Sides:
    """Both sides, random contents of B, [2, rows, cols], and what was in C at the end, by row."""

    def __init__(self, config: SATConfig, seed: int) -> None:
        self.config, self.rng = config, np.random.default_rng(seed)
        parts = Parts(b_side.part_makers(config) | c_side.part_makers(config), once=False)
        self.b, self.c = BSide(config=config, parts=parts), CSide(config=config, parts=parts)
        shape = (2, half_rows_b(config), config.cols)
        self.values = self.rng.integers(1, 1 << 16, shape)
        self.indices = self.rng.integers(0, 1 << config.index_bits, shape)
        self.stored: dict[tuple[int, int], int] = {}

    def run(self, execs: list[Exec], seed: int, stall: float) -> Trace:
        return run(self.config, self.b, self.c, execs, seed, stall, self.load, self.store)

    async def load(self, ctx) -> None:
        """Write each line twice: rows of a random mask after the others, noise beside them."""
        for name, words, bits in (("values", self.values, 16), ("indices", self.indices, 4)):
            rows = rows_of_line(self.config, index=name == "indices")
            port, data = getattr(self.b, name), getattr(self.b, f"{name}_data")
            for half, line in np.ndindex(2, words.shape[1] // rows):
                part = words[half, line * rows : (line + 1) * rows]
                chosen = self.rng.random(rows) < 0.5
                for there in (~chosen, chosen):
                    noise = self.rng.integers(0, 1 << bits, part.shape)
                    place = {"valid": 1, "half": half, "line": line, "mask": _packed(there, 1)}
                    ctx.set(port, port.shape().const(place))
                    ctx.set(data, _packed(np.where(there[:, None], part, noise), bits))
                    await ctx.tick()
            ctx.set(port.valid, 0)

    async def store(self, ctx) -> None:
        """Read every row of C, one per cycle."""
        places = list(np.ndindex(2, half_rows_c(self.config)))
        for cycle in range(len(places) + READ):
            if cycle < len(places):
                half, row = places[cycle]
                place = {"valid": 1, "half": half, "row": row}
                ctx.set(self.c.store, self.c.store.shape().const(place))
            if cycle >= READ:
                self.stored[places[cycle - READ]] = ctx.get(self.c.stored)
            await ctx.tick()


def _packed(words: np.ndarray, bits: int) -> int:
    return sum(int(word) << bits * n for n, word in enumerate(words.flat))


def words_of_b(sides: Sides, execs: list[Exec]) -> np.ndarray:
    """What each column takes, [words, cols]: values in the lower 16 bits, then indices."""
    config = sides.config
    words = [np.zeros((0, config.cols), np.int64)]
    for e, chunks in zip(execs, chunks_of(config, execs), strict=True):
        for number, chunk in enumerate(chunks):
            o, i = divmod(number, e.inner)
            half = chunk.bits["b_half"]
            for piece in pieces(config, e, 0, i * e.b_y_inner):
                for row in _rows_of_b(config, e, piece, o):
                    word = np.zeros(config.cols, np.int64)
                    if row is not None:
                        word = sides.values[half, row]
                        word = word | sides.indices[half, row] * (e.n != e.m) << 16
                    words.append(word[None])
    return np.concatenate(words)


def _rows_of_b(config: SATConfig, e: Exec, piece: Piece, o: int) -> Iterator[int | None]:
    """Rows of B in the order of a pass's loops; None where the array takes zeros."""
    inside = np.broadcast_to(piece.b_inside, piece.b.shape)
    order = [(i, n) for i in range(e.is_) for n in range(e.n)]
    if e.b_mn:
        order.sort(key=lambda each: each[1])
    tiles_p, slots = (1, config.rows) if e.ws else (e.tiles_p, e.groups)
    for p1, p0, _, tq, slot in np.ndindex(e.products1, e.products0, tiles_p, e.tiles_q, slots):
        at = o * e.b_outer + p0 * e.b_product0 + p1 * e.b_product1
        for i, n in order:
            where = (*((slot * e.m + n, 0) if e.a_mn else (slot, n)), tq * e.is_ + i)
            there = all(a < size for a, size in zip(where, piece.b.shape, strict=True))
            yield int(piece.b[where]) + at if there and inside[where] else None


def rows_of_c(config: SATConfig, e: Exec) -> list[int | None]:
    """Rows of C in the order of a pass's loops; None where the sum is dropped."""
    kept = sum_rows(config, e)
    tiles_p, slots = (1, e.groups) if e.ws else (e.tiles_p, config.rows)
    found: list[int | None] = []
    for p1, p0, tp, tq, slot, at, i in np.ndindex(
        e.products1, e.products0, tiles_p, e.tiles_q, slots, e.ir, e.is_
    ):
        row = slot if e.ws else tp * slots + slots - 1 - slot
        p, q = row * e.ir + at, tq * e.is_ + i
        there = p < kept.shape[0] and q < kept.shape[1]
        down = p0 * e.c_product0 + p1 * e.c_product1
        found.append(int(kept[p, q]) + down if there else None)
    return found


def check_c(sides: Sides, execs: list[Exec], trace: Trace) -> Counter:
    """Replay the loops with the sums that a column gave: compare what it took, and what is in C.

    Returns how many initial sums there were, how many of them `follow` in an operation, and how
    many sums were dropped.
    """
    seen: Counter = Counter()
    for c in range(sides.config.cols):
        content: dict[tuple[int, int], int] = {}
        given, taken = iter(trace.o[c]), iter(trace.c[c])
        for e, chunks in zip(execs, chunks_of(sides.config, execs), strict=True):
            rows = rows_of_c(sides.config, e)
            passes = [(chunk, n) for chunk in chunks for n in range(e.passes if e.ws else 1)]
            for chunk, number in passes:
                half = chunk.bits["c_half"]
                if chunk.bits["resumed"] or number:
                    initial = [(row, next(taken)) for row in rows]
                    for row, sum_ in initial:
                        assert row is None or sum_ == content[half, row], (c, row, e)
                    seen["follow" if chunk.bits["continues"] else "resumed"] += len(rows)
                sums = [(row, next(given)) for row in rows]
                content |= {(half, row): sum_ for row, sum_ in sums if row is not None}
                seen["dropped"] += rows.count(None)
        assert next(given, None) is next(taken, None) is None
        for place, sum_ in content.items():
            assert sides.stored[place] >> 32 * c & 0xFFFF_FFFF == sum_, (c, place)
    return seen


def fill(config: SATConfig) -> Exec:
    """Writes all rows of both halves of C, so that later ones may resume any."""
    rows = half_rows_c(config)
    return Exec(
        ws=1, n=4, log_m=1, ir=1, is_=1, p=rows, groups=rows, k=1, q_blocks=1, c_p=1,
        inner=2, c_advance=Advance.EVERY,
    )  # fmt: skip


def chained(config: SATConfig) -> Exec:
    """Three chunks, of which the last two are one operation: as few tiles as their sums come back
    in time. They read the last row of a half of B in turns."""
    execs = [
        Exec(
            n=2, log_m=0, ir=1, is_=1, p=tiles * config.rows, tiles_p=tiles, groups=1, k=1,
            q_blocks=1, c_p=1, inner=3, chain=1,
            b_advance=Advance.EVERY, b_base=half_rows_b(config) - 1,
        )
        for tiles in range(1, half_rows_c(config) // config.rows)
    ]  # fmt: skip
    return next(e for e in execs if sums_return(config, array_op(e, resumed=True)))


DENSE = Exec(
    n=4, log_m=1, ir=1, is_=2, p=2, q_blocks=4, tiles_q=2, groups=3, k=3, k0_count=2,
    b_k0=4, b_k1=8, b_q0=1, q0_count=2, b_q1=16, b_n=1, c_p=4, c_q=1,
)  # fmt: skip
DIRECTED = (
    replace(DENSE, b_last=2),
    replace(DENSE, b_last=2, b_mn=1),
    replace(DENSE, a_mn=1, b_n=0, k=11, b_k0=1, b_k1=2),
    replace(DENSE, a_mn=1, b_mn=1, b_n=0, k=11, b_k0=1, b_k1=2),
    replace(DENSE, inner=3, b_y0=-1, b_y_inner=1),
)
"""A short last group; values as entries: both in either order of B. Chunks that lie in turns above
B's one row of pixels, on it, and below it."""


def some_execs(rng: random.Random, config: SATConfig) -> list[Exec]:
    """In which no sum replaces another of its pass."""
    while True:
        execs = [fill(config), *random_execs(rng, config)]
        rows = [[row for row in rows_of_c(config, e) if row is not None] for e in execs]
        if all(len(set(each)) == len(each) for each in rows):
            return execs


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows} rows")
def test_words_and_sums_are_those_of_the_loops(config):
    seen: Counter = Counter()
    drawn = [some_execs(random.Random(f"{config} {number}"), config) for number in range(5)]
    for number, execs in enumerate([[chained(config), *DIRECTED], *drawn]):
        sides = Sides(config, number)
        trace = sides.run(execs, number, stall=0.98 * (number % 2))
        golden = words_of_b(sides, execs)
        assert (trace.late, trace.outside) == (False, False), (number, execs)
        for c in range(config.cols):
            assert trace.b[c] == golden[:, c].tolist(), (number, c, execs)
        seen += check_c(sides, execs, trace)
        seen["words"] += len(golden)
        seen["zeros"] += int((golden[:, 0] == 0).sum())
    assert min(seen[what] for what in ("dropped", "resumed", "follow", "zeros")) > 10, seen
    assert seen["zeros"] < seen["words"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"b_base": half_rows_b(TINY)},
        {"b_base": -1},
        {"b_outer": 40, "outer": 3},
        {"b_k1": -(1 << 23), "b_k1_y": 1, "b_y0": -8, "k0_count": 1, "k1_count": 16},
        {"c_base": half_rows_c(TINY)},
        {"p": 2, "c_p": -1},
    ],
)
def test_an_address_that_is_not_in_its_half_is_found(wrong):
    """Also where it would lie in it modulo 2**26, behind padding."""
    fields = {"n": 2, "log_m": 0, "ir": 1, "is_": 1, "p": 1, "k": 9, "groups": 9, "q_blocks": 1}
    assert Sides(TINY, 1).run([Exec(**fields | wrong)], 1, 0.0).outside
    assert not Sides(TINY, 1).run([Exec(**fields)], 1, 0.0).outside
