from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.tools.cocotb_runner import run_cocotb
from sparsat.hw.tools.verilog import to_verilog

TESTS = Path(__file__).with_name("cocotb_adder.py")


class Adder(wiring.Component):
    """`q = x.a + x.b`, two cycles later."""

    x: In(wiring.Signature({"a": Out(8), "b": Out(8)}))
    q: Out(9)

    def elaborate(self, platform):
        m = Module()
        total = Signal.like(self.q)
        m.d.sync += [total.eq(self.x.a + self.x.b), self.q.eq(total)]
        return m


@pytest.fixture(scope="module")
def adder() -> str:
    return to_verilog(Adder(), "adder")


def test_passing_tests_pass(adder):
    run_cocotb(adder, "adder", TESTS, env={"EXPECTED_SUM": "7"})


def test_a_failing_test_raises_with_its_log(adder):
    with pytest.raises(RuntimeError, match="assert 7 == 8"):
        run_cocotb(adder, "adder", TESTS, env={"EXPECTED_SUM": "8"})


def test_a_file_without_tests_raises(adder, tmp_path):
    empty = tmp_path / "cocotb_nothing.py"
    empty.write_text("")
    with pytest.raises(RuntimeError):
        run_cocotb(adder, "adder", empty)


def test_verilog_that_does_not_build_raises(tmp_path):
    with pytest.raises(RuntimeError, match="syntax error"):
        run_cocotb("module adder(; endmodule", "adder", TESTS)
