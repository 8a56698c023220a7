"""Words for a row of the array: the values of rounds of all shapes in their order, early enough."""

import random
from dataclasses import dataclass

import pytest

from blocks import simulate
from sparsat.hw.array_op import ROW_WORDS, WORD
from sparsat.hw.config import preset
from sparsat.hw.row_buffer import RowBuffer

BITS = 16
EARLIEST = 2
"""Cycles from a word's arrival to its first values."""


@dataclass(frozen=True)
class Round:
    """Words of `entries`, each with the place and number of slots of its values."""

    words: list[list[int]]
    places: list[int]
    lives: list[int]
    log_values: int
    slots: int

    def values(self, link: int) -> list[list[int]]:
        """What the array takes, `link` values at a time."""
        size = 1 << self.log_values
        found = [
            word[(place + slot * size + v) % WORD] if slot < live else 0
            for slot in range(self.slots)
            for word, place, live in zip(self.words, self.places, self.lives, strict=True)
            for v in range(size)
        ]
        return [found[n : n + link] for n in range(0, len(found), link)]


def some_round(rng: random.Random, link: int) -> Round:
    log_values = rng.randrange(5)
    entries = rng.randint(1, 16)
    if log_values == 0 and link == 2:
        entries += entries % 2
    most = min(8, WORD >> log_values)
    return Round(
        words=[[rng.randrange(1, 1 << BITS) for _ in range(WORD)] for _ in range(entries)],
        places=[rng.randrange(WORD) for _ in range(entries)],
        lives=[rng.randint(0, most) for _ in range(entries)],
        log_values=log_values,
        slots=rng.randint(1, most),
    )


def run(rounds: list[Round], link: int, rng: random.Random, pause: float) -> list[int]:
    """Values that the buffer gives, each asked for as early as it may be, or later."""
    dut = RowBuffer(config=preset("tiny").with_(a_link=link))
    words = [(each, n) for each in rounds for n in range(len(each.words))]
    due: list[int] = []  # of all values: how many words must have come
    come = 0
    for each in rounds:
        step = 2 if link == 2 and each.log_values == 0 else 1
        turns = max(1, (1 << each.log_values) // link)
        for _ in range(each.slots):
            due += [
                n + step for n in range(come, come + len(each.words), step) for _ in range(turns)
            ]
        come += len(each.words)
    taken: list[int] = []
    arrived: list[int] = []  # cycles

    async def testbench(ctx):
        room, cycle, sent = ROW_WORDS, 0, 0
        while len(taken) < len(due):
            write = sent < len(words) and room > 0 and rng.random() >= pause
            ctx.set(dut.write, write)
            if write:
                each, n = words[sent]
                ctx.set(dut.word, sum(v << BITS * i for i, v in enumerate(each.words[n])))
                taking = {
                    "first": 0,
                    "place": each.places[n],
                    "live": each.lives[n],
                    "entries": len(each.words) - 1,
                    "log_values": each.log_values,
                    "slots": each.slots - 1,
                    "wide": 0,
                }
                ctx.set(dut.taking, dut.taking.shape().const(taking))
                arrived.append(cycle)
            needed = due[len(taken)]
            there = needed <= len(arrived) and arrived[needed - 1] + EARLIEST <= cycle
            take = there and rng.random() >= pause
            ctx.set(dut.take, take)
            if take:
                taken.append(ctx.get(dut.values))
                assert not ctx.get(dut.late), len(taken)
            room += ctx.get(dut.freed) - write
            sent += write
            cycle += 1
            await ctx.tick()
        ctx.set(dut.take, 1)
        ctx.set(dut.write, 0)
        assert ctx.get(dut.late)
        assert room == ROW_WORDS

    simulate(dut, testbench)
    return taken


@pytest.mark.parametrize("link", [1, 2])
@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_values_are_those_of_the_rounds(link, pause):
    rng = random.Random(f"{link} {pause}")
    rounds = [some_round(rng, link) for _ in range(60)]
    taken = run(rounds, link, rng, pause)
    expected = [values for each in rounds for values in each.values(link)]
    assert taken == [sum(v << BITS * i for i, v in enumerate(values)) for values in expected]
