import random

import numpy as np
import pytest

from blocks import simulate
from sparsat.hw.config import preset
from sparsat.hw.resources import estimate
from sparsat.hw.transposer import Transposer, row_number_bits
from streams import get, join, put, split

TINY = preset("tiny")


def run(blocks: np.ndarray, stalls: tuple[float, float], *extra, most_parts: int = 1) -> None:
    """Blocks [.., cols, parts, cols] through a transposer, in one stream."""
    cols, parts = blocks.shape[1:3]
    dut = Transposer(
        config=TINY.with_(cols=cols, sore_lanes=1, wuve_lanes=1), most_parts=most_parts
    )
    got: list[int] = []
    rngs = random.Random(1), random.Random(2)
    rows = [join(row, 16) for row in blocks.reshape(-1, cols).tolist()]

    async def set_parts(ctx):
        if most_parts > 1:
            ctx.set(dut.more, parts - 1)

    simulate(
        dut,
        set_parts,
        put(dut.i, rows, rngs[0], stalls[0]),
        get(dut.o, len(rows), rngs[1], stalls[1], got),
        *(make(dut) for make in extra),
    )
    np.testing.assert_array_equal(
        [split(row, 16, cols) for row in got], blocks.transpose(0, 2, 3, 1).reshape(-1, cols)
    )


def some_blocks(cols: int, count: int, parts: int = 1) -> np.ndarray:
    return np.random.default_rng(cols).integers(1 << 16, size=(count, cols, parts, cols))


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.5, 0.1), (0.1, 0.6), (0.4, 0.4)], ids=str)
@pytest.mark.parametrize("cols", [2, 4, 16])
def test_rows_become_columns(cols, stalls):
    run(some_blocks(cols, 12), stalls)


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.4, 0.4)], ids=str)
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_rows_may_come_in_parts(parts, stalls):
    run(some_blocks(4, 7, parts), stalls, most_parts=5)


def test_blocks_follow_each_other_without_a_pause():
    valid = []

    def watch(dut):
        async def testbench(ctx):
            for _ in range(8 * 5 + Transposer.latency):
                valid.append(ctx.get(dut.o.valid))
                await ctx.tick()

        return testbench

    run(some_blocks(8, 4), (0.0, 0.0), watch)
    before = 8 - 1 + Transposer.latency
    assert valid[: before + 32] == [0] * before + [1] * 32


def test_columns_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="cols is 12, to transpose it must be a power of two"):
        row_number_bits(TINY.with_(cols=12))


def test_it_keeps_within_its_budget():
    block = estimate("transposer", Transposer(config=preset("small")))
    assert block.path.delay_ps <= 3200
