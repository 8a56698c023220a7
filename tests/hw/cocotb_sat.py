"""cocotb tests of the accelerator between cocotbext-axi's host and memory, run by
`test_sat_cocotb.py`: a program whose image, address and result are in the file CASE."""

import os
import random
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from axi_rules import AXI4, LITE, Bus
from sparsat.hw.config import preset
from sparsat.hw.register_map import Control, Interrupt, State, register_map

CONFIG = preset(os.environ["CONFIG"])
REGISTERS = register_map(CONFIG)


def pauses(seed: int, often: float) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < often


class Bench:
    """A host at the registers, memory at the port; everyone waits at random, and keeps to the
    rules."""

    def __init__(self, dut, often: float):
        self.dut, case = dut, np.load(os.environ["CASE"])
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.memory = AxiRam(
            AxiBus.from_prefix(dut, "m_axi_0"), dut.clk, dut.rst, size=len(case["image"])
        )
        self.memory.write(0, case["image"].tobytes())
        self.case = case
        self.buses = [Bus(dut, "s_axil_", LITE), Bus(dut, "m_axi_0_", AXI4)]
        for bus in self.buses:
            cocotb.start_soon(bus.watch())
        if often:
            self._pause(often)

    def _pause(self, often: float) -> None:
        write, read = self.memory.write_if, self.memory.read_if
        host_write, host_read = self.host.write_if, self.host.read_if
        channels = [write.aw_channel, write.w_channel, write.b_channel]
        channels += [read.ar_channel, read.r_channel]
        channels += [host_write.aw_channel, host_write.w_channel, host_write.b_channel]
        channels += [host_read.ar_channel, host_read.r_channel]
        for seed, channel in enumerate(channels):
            channel.set_pause_generator(pauses(seed, often))

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, name: str, value: int) -> None:
        register = REGISTERS[name]
        await self.host.write(register.offset, value.to_bytes(register.bits // 8, "little"))

    async def read(self, name: str) -> int:
        register = REGISTERS[name]
        found = await self.host.read(register.offset, register.bits // 8)
        return int.from_bytes(found.data, "little")

    async def start(self) -> None:
        await self.write("PROGRAM", int(self.case["program"]))
        await self.write("INSTRUCTIONS", int(self.case["instructions"]))
        await self.write("MEMORY_BYTES", len(self.case["image"]))
        await self.write("INTERRUPT_ENABLE", int(Interrupt.END))
        await self.write("CONTROL", int(Control.START))

    async def check(self) -> None:
        """The program ends, and leaves what it should."""
        await with_timeout(RisingEdge(self.dut.interrupt), 200, "us")
        assert await self.read("STATUS") == State.DONE
        assert await self.read("ERROR") == 0
        result = self.case["result"]
        assert self.memory.read(0, len(result)) == result.tobytes()
        await self.write("INTERRUPT_PENDING", int(Interrupt.END))
        await RisingEdge(self.dut.clk)
        assert not self.dut.interrupt.value
        for bus in self.buses:
            assert all(bus.passed.values()), bus.passed


@cocotb.test()
async def a_program_runs(dut):
    bench = Bench(dut, often=0)
    await bench.reset()
    await bench.start()
    await bench.check()


@cocotb.test()
async def a_program_runs_among_those_who_wait(dut):
    bench = Bench(dut, often=0.4)
    await bench.reset()
    await bench.start()
    await bench.check()


@cocotb.test()
async def a_reset_in_the_middle_leaves_no_burst_behind(dut):
    bench = Bench(dut, often=0.2)
    await bench.reset()
    await bench.start()
    await ClockCycles(dut.clk, 400)
    await bench.write("CONTROL", int(Control.RESET))
    while await bench.read("STATUS") != State.IDLE:
        pass
    for name in ("arvalid", "awvalid", "wvalid"):
        assert not getattr(dut, f"m_axi_0_{name}").value
    bench.memory.write(0, bench.case["image"].tobytes())
    await bench.start()
    await bench.check()
