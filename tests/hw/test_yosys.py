import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources, count_resources, synthesize


class OneOfEach(wiring.Component):
    """A registered adder and multiplier, a memory of LUTs, a block RAM."""

    a: In(32)
    b: In(32)
    x: In(16)
    y: In(16)
    target: In(9)
    source: In(9)
    write: In(1)
    total: Out(32)
    product: Out(32)
    near: Out(32)
    far: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, b, x, y = (Signal.like(port) for port in (self.a, self.b, self.x, self.y))
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.total.eq(a + b)]
        m.d.sync += [x.eq(self.x), y.eq(self.y), self.product.eq(x * y)]
        for depth, domain, out in ((32, "comb", self.near), (512, "sync", self.far)):
            ram = m.submodules[f"ram{depth}"] = memory.Memory(shape=32, depth=depth, init=[])
            write, read = ram.write_port(), ram.read_port(domain=domain)
            m.d.comb += [write.addr.eq(self.target), write.en.eq(self.write)]
            m.d.comb += [write.data.eq(self.a), read.addr.eq(self.source)]
            m.d.sync += out.eq(read.data)
        return m


def test_primitives_are_counted_at_their_cost():
    """32 LUTs make an adder, and a RAM32M16 stores 14 bits by 32 words in 8 LUTs."""
    counted = count_resources(synthesize(to_verilog(OneOfEach(), "top"), "top"))
    flip_flops = 32 * 3 + 16 * 2 + 32 + 32 * 2
    assert counted == Resources(
        lut_logic=32, lut_ram=3 * 8, ff=flip_flops, dsp=1, bram18=1, uram=0, carry=4
    )
    assert counted.lut == 56


def test_a_shift_register_is_one_lut_for_each_bit():
    verilog = """
        module top(input clk, input [7:0] d, output [7:0] q);
          reg [127:0] line;
          always @(posedge clk) line <= {line[119:0], d};
          assign q = line[127:120];
        endmodule"""
    counted = count_resources(synthesize(verilog, "top"))
    assert (counted.lut_ram, counted.lut_logic) == (8, 0)


def test_an_unknown_primitive_is_named():
    with pytest.raises(ValueError, match="ODDR has no known cost"):
        count_resources({"cells": {"out": {"type": "ODDR"}}})


def test_verilog_that_does_not_parse_is_reported():
    with pytest.raises(RuntimeError, match="syntax error"):
        synthesize("module top(; endmodule", "top")
