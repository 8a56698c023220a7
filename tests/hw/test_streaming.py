import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.tools.streaming import VectorHarness


class Adder(wiring.Component):
    """`q = x.a + x.b`, three cycles later."""

    latency = 3

    def __init__(self, width: int):
        operands = wiring.Signature({"a": Out(width), "b": Out(width)})
        super().__init__({"x": In(operands), "q": Out(width + 1)})

    def elaborate(self, platform):
        m = Module()
        total = Signal.like(self.q)
        delayed = Signal.like(self.q)
        m.d.sync += [total.eq(self.x.a + self.x.b), delayed.eq(total), self.q.eq(delayed)]
        return m


class Inverter(wiring.Component):
    latency = 0
    x: In(64)
    q: Out(64)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.q.eq(~self.x)
        return m


@pytest.fixture(scope="module")
def adder() -> VectorHarness:
    return VectorHarness(Adder(24), "adder")


def test_outputs_line_up_with_their_vectors(adder):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(1 << 24, size=100_000, dtype=np.uint32) for _ in range(2))
    result = adder.run(x__a=a, x__b=b)
    np.testing.assert_array_equal(result["q"], a + b)


def test_a_combinational_unit_has_latency_zero():
    x = np.array([0, 1, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(VectorHarness(Inverter(), "inverter").run(x=x)["q"], ~x)


def test_no_vectors_give_no_results(adder):
    nothing = np.array([], np.uint32)
    assert len(adder.run(x__a=nothing, x__b=nothing)["q"]) == 0


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"x__a": np.zeros(1, np.uint8)}, ValueError, "expected \\['x__a', 'x__b'\\]"),
        ({"x__a": np.zeros(1, np.uint8), "x__b": np.zeros(2, np.uint8)}, ValueError, "lengths"),
        ({"x__a": np.full(1, 1 << 24, "u4"), "x__b": np.zeros(1, "u4")}, ValueError, "24 bits"),
        ({"x__a": np.zeros(1), "x__b": np.zeros(1)}, TypeError, "float64"),
    ],
)
def test_wrong_arrays_are_named(adder, arrays, error, message):
    with pytest.raises(error, match=message):
        adder.run(**arrays)
