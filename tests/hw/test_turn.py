"""Words of squares turned over: the order, and no cycle lost however many words a row has."""

import numpy as np
import pytest

from blocks import simulate
from sparsat.hw.config import preset
from sparsat.hw.turn import Turn
from streams import join, split

BLOCKS, BITS = 6, 5


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_blocks_follow_each_other_without_a_pause(lanes):
    cols = 8
    dut = Turn(config=preset("tiny").with_(cols=cols, wuve_lanes=lanes), bits=BITS)
    blocks = np.random.default_rng(lanes).integers(1 << BITS, size=(BLOCKS, cols, cols))
    words = blocks.reshape(-1, lanes)
    block, found = cols * cols // lanes, []

    async def testbench(ctx):
        for cycle in range(len(words) + block + Turn.latency):
            ctx.set(dut.valid, cycle < len(words))
            if cycle < len(words):
                ctx.set(dut.word, join(words[cycle].tolist(), BITS))
            if ctx.get(dut.o_valid):
                found.append((cycle, split(ctx.get(dut.o), BITS, lanes)))
            await ctx.tick()

    simulate(dut, testbench)
    first = block - 1 + Turn.latency
    assert [cycle for cycle, _ in found] == list(range(first, first + len(words)))
    expected = blocks.transpose(0, 2, 1).reshape(-1, lanes).tolist()
    assert [word for _, word in found] == expected
