"""cocotb tests of the accelerator between cocotbext-axi's host and memory, run by
`test_sat_cocotb.py`: a program whose image, address and result are in the file CASE."""

import os
import random
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from axi_rules import AXI4, LITE, Bus
from sparsat.hw.config import preset
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES
from sparsat.hw.register_map import Control, Interrupt, State, register_map

CONFIG = preset(os.environ["CONFIG"])
REGISTERS = register_map(CONFIG)


def pauses(seed: int, often: float) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < often


class Ram:
    """Bytes of memory; bursts that touch `failing` are answered with SLVERR."""

    def __init__(self, image: np.ndarray):
        self.bytes, self.failing = bytearray(image.tobytes()), range(0)

    async def read(self, address: int, length: int) -> bytes:
        self._need(address)
        return bytes(self.bytes[address : address + length])

    async def write(self, address: int, data: bytes) -> None:
        self._need(address)
        self.bytes[address : address + len(data)] = data

    def _need(self, address: int) -> None:
        if address in self.failing:
            raise OSError(f"address {address} fails")


class Bench:
    """A host at the registers, memory at the port; everyone waits at random, and keeps to the
    rules."""

    def __init__(self, dut, often: float):
        self.dut, case = dut, np.load(os.environ["CASE"])
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.case, self.ram = case, Ram(case["image"])
        self.memory = AxiSlave(
            AxiBus.from_prefix(dut, "m_axi_0"), dut.clk, dut.rst, target=self.ram
        )
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

    async def idle(self) -> None:
        """RESET; the machine becomes idle, and its port is silent."""
        await self.write("CONTROL", int(Control.RESET))
        for _ in range(1000):
            if await self.read("STATUS") == State.IDLE:
                break
        else:
            raise AssertionError("the machine does not become idle")
        for name in ("arvalid", "awvalid", "wvalid"):
            assert not getattr(self.dut, f"m_axi_0_{name}").value

    async def end(self) -> list[int]:
        """The program ends; STATUS, ERROR and ERROR_INSTRUCTION."""
        await with_timeout(RisingEdge(self.dut.interrupt), 200, "us")
        await self.write("INTERRUPT_PENDING", int(Interrupt.END))
        await RisingEdge(self.dut.clk)
        assert not self.dut.interrupt.value
        return [await self.read(name) for name in ("STATUS", "ERROR", "ERROR_INSTRUCTION")]

    async def works(self) -> None:
        """The program runs on the image, and leaves what it should."""
        self.ram.bytes[:] = self.case["image"].tobytes()
        await self.start()
        assert await self.end() == [State.DONE, Error.NONE, 0]
        result = self.case["result"]
        assert self.ram.bytes[: len(result)] == result.tobytes()
        for bus in self.buses:
            assert all(bus.passed.values()), bus.passed


@cocotb.test()
async def a_program_runs(dut):
    bench = Bench(dut, often=0)
    await bench.reset()
    await bench.works()


@cocotb.test()
async def a_program_runs_among_those_who_wait(dut):
    bench = Bench(dut, often=0.4)
    await bench.reset()
    await bench.works()


@cocotb.test()
async def a_reset_in_the_middle_leaves_no_burst_behind(dut):
    bench = Bench(dut, often=0.2)
    await bench.reset()
    await bench.start()
    await ClockCycles(dut.clk, 400)
    await bench.idle()
    await bench.works()


@cocotb.test()
async def after_faults_the_next_program_is_right(dut):
    """Memory refuses an operand; then the program has an opcode that is unknown."""
    bench = Bench(dut, often=0.2)
    await bench.reset()
    operand = int(bench.case["operand"])
    bench.ram.failing = range(operand, operand + 1)
    await bench.start()
    assert await bench.end() == [State.ERROR, Error.BUS, bench.case["operand_of"]]
    bench.ram.failing = range(0)
    bench.ram.bytes[int(bench.case["program"]) + 3 * INSTRUCTION_BYTES] = 0xEE
    await bench.start()
    assert await bench.end() == [State.ERROR, Error.OPCODE, 3]
    await bench.idle()
    await bench.works()
