"""cocotb tests of the array, run by `test_array_cocotb.py`: one driver for each port."""

import os
import random
from collections.abc import Iterable

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from array_cases import Case, cases
from sparsat.hw.config import preset
from sparsat.hw.request import encode_request
from sparsat.hw.timing import array_cycles

CONFIG = preset(os.environ["CONFIG"])
LONGEST = 800


def scenarios(count: int, seed: int) -> list[Case]:
    """Random cases of any kind that do not take long."""
    found = [c for c in cases(CONFIG, 3, seed) if array_cycles(CONFIG, c.gemm.op) < LONGEST]
    return random.Random(seed).sample(found, count)


class Bench:
    """Drives every port by itself. Inputs change, and outputs are read, at falling edges."""

    def __init__(self, dut, chosen: list[Case], stall: float):
        self.dut, self.chosen = dut, chosen
        self.random = random.Random(chosen[0].seed)
        self.stall = stall
        self.sums: list[list[int]] = [[] for _ in range(CONFIG.cols)]

    async def run(self) -> list[int]:
        """Run the operations one after another from reset; returns the cycles of each."""
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        dut.rst.value = 1
        dut.i__valid.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        for kind, count in (("a", CONFIG.rows), ("b", CONFIG.cols), ("c", CONFIG.cols)):
            for n in range(count):
                words = [getattr(case.vectors.streams, kind)[n] for case in self.chosen]
                cocotb.start_soon(self.give(kind, n, np.concatenate(words).tolist()))
        for column in range(CONFIG.cols):
            cocotb.start_soon(self.collect(column))
        cocotb.start_soon(self.allow_steps())
        return [await self.operate(encode_request(CONFIG, case.gemm.op)) for case in self.chosen]

    async def operate(self, request: int) -> int:
        """Offer one operation; returns the cycles until the next can be taken."""
        dut, cycles = self.dut, 0
        while not dut.i__ready.value:
            await FallingEdge(dut.clk)
        dut.i__valid.value = 1
        dut.i__payload.value = request
        while cycles == 0 or dut.busy.value:
            await FallingEdge(dut.clk)
            dut.i__valid.value = 0
            cycles += 1
        return cycles

    async def give(self, kind: str, number: int, words: Iterable[int]) -> None:
        """Present the next word in a cycle in which it is taken, and noise in any other."""
        port = getattr(self.dut, f"{kind}_{number}")
        ready = getattr(self.dut, f"{kind}_ready_{number}")
        noise = random.Random(number)
        for word in words:
            while not ready.value:
                port.value = noise.getrandbits(len(port))
                await FallingEdge(self.dut.clk)
            port.value = word
            await FallingEdge(self.dut.clk)
        while True:
            assert not ready.value, f"{kind}_{number} is asked for more words than there are"
            await FallingEdge(self.dut.clk)

    async def collect(self, column: int) -> None:
        valid, port = getattr(self.dut, f"o_valid_{column}"), getattr(self.dut, f"o_{column}")
        while True:
            if valid.value:
                self.sums[column].append(port.value.to_unsigned())
            await FallingEdge(self.dut.clk)

    async def allow_steps(self) -> None:
        while True:
            self.dut.step_valid.value = self.random.random() >= self.stall
            await FallingEdge(self.dut.clk)

    def check(self, cycles: list[int]) -> None:
        ends = np.cumsum([case.vectors.streams.sums for case in self.chosen])
        sums = np.array(self.sums, np.uint32)
        assert sums.shape[1] == ends[-1]
        parts = np.split(sums, ends[:-1], axis=1)
        for case, part, took in zip(self.chosen, parts, cycles, strict=True):
            np.testing.assert_array_equal(
                case.gemm.outputs(part), case.vectors.golden, err_msg=str(case)
            )
            expected = array_cycles(CONFIG, case.gemm.op)
            assert took == expected or (self.stall and took > expected), case


@cocotb.test()
async def without_stalls(dut):
    bench = Bench(dut, scenarios(4, seed=11), stall=0)
    bench.check(await bench.run())


@cocotb.test()
async def with_stalls(dut):
    bench = Bench(dut, scenarios(4, seed=12), stall=0.5)
    bench.check(await bench.run())
