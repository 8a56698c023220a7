from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from sparsat.hw.config import preset
from sparsat.hw.resources import estimate
from sparsat.hw.uspe import USPE


class ReferenceAdder(Component):
    """`q = a + b`, registered before and after: an estimate that can be checked by hand."""

    a: In(32)
    b: In(32)
    q: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(32), Signal(32)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.q.eq(a + b)]
        return m


def test_the_reference_is_what_a_hand_finds():
    """32 LUTs, three registers of 32 bits, and the sum in `test_timing.test_adder`."""
    found = estimate("reference_adder", ReferenceAdder())
    resources = found.resources
    assert (resources.lut, resources.lut_ram, resources.ff, resources.dsp) == (32, 0, 96, 0)
    assert found.path.delay_ps == 1134.5
    assert found.path.end.startswith("q[")


def test_a_cell_keeps_within_its_budget():
    """450 LUT, one DSP slice, 300 MHz by the estimate."""
    cell = estimate("uspe", USPE(config=preset("vcu1525")))
    assert cell.resources.lut <= 450
    assert cell.resources.dsp == 1
    assert cell.path.delay_ps <= 3300
