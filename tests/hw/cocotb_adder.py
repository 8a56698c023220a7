"""cocotb tests of the adder in `test_cocotb_runner.py`, which runs them."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly


@cocotb.test()
async def adds(dut):
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    dut.rst.value = 0
    dut.x__a.value = 3
    dut.x__b.value = 4
    await ClockCycles(dut.clk, 4)
    await ReadOnly()
    assert dut.q.value.to_unsigned() == int(os.environ["EXPECTED_SUM"])


@cocotb.test()
async def exposes_the_ports_alone(dut):
    assert hasattr(dut, "q")
    assert not hasattr(dut, "total")
