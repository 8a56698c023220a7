"""The DDR4 model against one written command by command."""

import random

import numpy as np
import pytest
from numba import njit

from slow_ddr4 import SlowDdr4
from sparsat.hw.config import preset
from sparsat.sim.memory import new_memory, serve

TINY, CARD = preset("tiny"), preset("vcu1525")


@njit
def serve_all(memory, bursts):
    """First cycles of bursts, [count, (asked, gap, line, lines, write)], one after another."""
    state = memory[0]
    firsts, free = np.zeros(len(bursts), np.int64), 0
    for index in range(len(bursts)):
        asked, gap, line, lines, write = bursts[index]
        now = max(free, asked) + gap
        firsts[index] = serve(state, asked, now, line, lines, write)
        free = firsts[index] + lines
    return firsts


def some_bursts(rng: random.Random, count: int) -> np.ndarray:
    """Bursts of some streams and of single lines, some asked for long before their turn."""
    found, clock = [], 0
    streams = [rng.randrange(1 << 16) * 64 for _ in range(4)]
    for _ in range(count):
        stream = rng.randrange(4)
        lines = rng.choice([1, 2, 64, 64])
        line = streams[stream] if rng.random() < 0.7 else rng.randrange(1 << 16) * 64
        streams[stream] += 64
        gap = rng.choice([0, 0, 0, rng.randint(0, 40), rng.randint(0, 4000)])
        found.append((max(0, clock - rng.choice([0, 1, 64])), gap, line, lines, stream == 0))
        clock += gap + lines
    return np.array(found, np.int64)


@pytest.mark.parametrize("config", [TINY, CARD])
def test_ddr4_equals_the_model_command_by_command(config):
    bursts = some_bursts(random.Random(config.name), 1500)
    firsts = serve_all(new_memory("ddr4", config), bursts)
    slow, free = SlowDdr4(config), 0
    for (asked, gap, line, lines, write), first in zip(bursts.tolist(), firsts, strict=True):
        now = max(free, asked) + gap
        assert now <= first == slow.serve(asked, now, line, lines, bool(write))
        free = int(first) + lines
    assert slow.refreshes > 100


def test_fixed_serves_at_once():
    bursts = some_bursts(random.Random(1), 100)
    firsts = serve_all(new_memory("fixed", TINY), bursts)
    free = 0
    for (asked, gap, _, lines, _), first in zip(bursts.tolist(), firsts, strict=True):
        assert first == max(free, asked) + gap
        free = int(first) + lines


def test_memories_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="unknown memory 'hbm': known are fixed, ddr4"):
        new_memory("hbm", TINY)
    fast = TINY.with_(name="fast", clock_hz=600e6)
    message = r"config fast: a port of 512 bits at 600 MHz moves 38.4 GB/s, DDR4-2400 at most 19.2"
    with pytest.raises(ValueError, match=message):
        new_memory("ddr4", fast)
