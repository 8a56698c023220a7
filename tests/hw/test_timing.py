"""Critical paths of small designs, against sums made by hand."""

import pytest

from sparsat.hw.tools.timing import critical_path, worst_paths
from sparsat.hw.tools.yosys import synthesize

START = 150  # clock to Q
NET = 300
END = NET + 40  # the net into a flip-flop, and its setup


def registers(body: str, inputs: str, output: str) -> str:
    """Verilog of `q <= <output>`, where `body` says what lies between the registered inputs."""
    ports = [declaration.split() for declaration in inputs.split(",")]
    declared = "".join(f"input {width} {name}_in, " for width, name in ports)
    held = "".join(f"reg {width} {name}; " for width, name in ports)
    moved = "".join(f"{name} <= {name}_in; " for _, name in ports)
    return f"""
        module top(input clk, {declared} output reg [31:0] q);
          {held} {body}
          always @(posedge clk) begin {moved} q <= {output}; end
        endmodule"""


def test_adder():
    """A LUT2, eight CARRY4 worth four CARRY8, of which the chain passes seven halves."""
    path = critical_path(synthesize(registers("", "[31:0] a,[31:0] b", "a + b"), "top"))
    assert path.delay_ps == START + NET + 50 + 11 + 115 + 7 * 7.5 + 116 + END
    assert path.levels == 2
    assert path.start in ("a[0]", "b[0]")
    assert path.end in ("q[28].D", "q[29].D", "q[30].D", "q[31].D")
    assert [step.kind for step in path.steps] == ["FDRE", "LUT2"] + 8 * ["CARRY4"]


def netlist(*cells: tuple[str, str, str]) -> dict:
    """A netlist of cells given as (type, inputs, outputs), with pins as in `I0=a CI=b`."""
    names: dict[str, int] = {}

    def connect(pins: str) -> dict[str, list[int]]:
        pairs = [pin.split("=") for pin in pins.split()]
        return {port: [names.setdefault(net, len(names) + 2)] for port, net in pairs}

    made = {}
    for number, (kind, inputs, outputs) in enumerate(cells):
        ins, outs = connect(inputs), connect(outputs)
        made[f"cell{number}"] = {
            "type": kind,
            "port_directions": {**dict.fromkeys(ins, "input"), **dict.fromkeys(outs, "output")},
            "connections": {**ins, **outs},
        }
    nets = {name: {"bits": [bit], "hide_name": 0} for name, bit in names.items()}
    return {"ports": {}, "cells": made, "netnames": nets}


@pytest.mark.parametrize(
    ("middle", "between"),
    [
        ([("LUT6", "I0=a", "O=z")], NET + 148),
        ([("INV", "I=a", "O=z")], NET + 50),
        ([("LUT6", "I0=a", "O=b"), ("LUT4", "I0=b", "O=z")], NET + 148 + NET + 40),
        ([("LUT6", "I5=a", "O=b"), ("MUXF7", "I0=b", "O=z")], NET + 148 + 35),
        ([("LUT6", "I5=a", "O=b"), ("MUXF7", "S=b", "O=z")], NET + 148 + NET + 35),
        ([("MUXF7", "I0=a", "O=b"), ("MUXF8", "I1=b", "O=z")], NET + 35 + 35),
        ([("CARRY8", "S=a", "O=z")], NET + 50 + 11 + 115 + 116),
        ([("CARRY8", "S=a", "CO=b"), ("LUT1", "I0=b", "O=z")], NET + 61 + 115 + 116 + NET + 50),
        ([("SRL16E", "A0=a D=c CLK=clk", "Q=z")], NET + 148),
        ([("RAM64X1D", "DPRA0=a D=c WCLK=clk", "DPO=z")], NET + 148),
    ],
)
def test_sums_of_hand_made_paths(middle, between):
    first, last = ("FDRE", "C=clk D=c", "Q=a"), ("FDRE", "C=clk D=z", "Q=q")
    path = critical_path(netlist(first, *middle, last))
    assert path.delay_ps == START + between + END
    assert (path.start, path.end, path.levels) == ("a", "q.D", len(middle))


def test_a_memory_launches_its_own_path():
    memory = ("RAMB36E2", "CLKARDCLK=clk ADDRARDADDR=a", "DOUTADOUT=b")
    path = critical_path(netlist(memory, ("FDRE", "C=clk D=b", "Q=q")))
    assert (path.start, path.delay_ps) == ("cell0", 1000 + END)


def test_reading_a_memory_of_luts():
    body = """
        reg [7:0] ram[31:0];
        always @(posedge clk) if (write_in) ram[target_in] <= data_in;"""
    verilog = registers(body, "[4:0] source", "ram[source]").replace(
        "input clk,", "input clk, input write_in, input [4:0] target_in, input [7:0] data_in,"
    )
    path = critical_path(synthesize(verilog, "top"))
    assert path.delay_ps == START + NET + 148 + END
    assert path.steps[-1].kind == "RAM32M16"


DSP = 1e6 / 544


def test_registers_around_a_dsp_are_its_own():
    path = critical_path(synthesize(registers("", "[15:0] a,[15:0] b", "a * b"), "top"))
    assert path.delay_ps == pytest.approx(DSP)


def test_logic_before_a_dsp_counts():
    body = "wire [15:0] c = a ^ b;"
    path = critical_path(synthesize(registers(body, "[15:0] a,[15:0] b", "c * b"), "top"))
    assert path.delay_ps == pytest.approx(NET + 50 + NET + DSP)
    assert path.levels == 2


def test_worst_paths_descend_and_ports_count_as_registers():
    paths = worst_paths(synthesize(registers("", "[31:0] a,[31:0] b", "a + b"), "top"), 130)
    delays = [path.delay_ps for path in paths]
    assert delays == sorted(delays, reverse=True)
    assert ("a_in[3]", "a[3].D", START + END) in {(p.start, p.end, p.delay_ps) for p in paths}
    assert ("q[3]", "q[3]", START + END) in {(p.start, p.end, p.delay_ps) for p in paths}


def test_a_combinational_loop_is_named():
    with pytest.raises(ValueError, match="combinational loop through spin"):
        critical_path(netlist(("LUT1", "I0=spin", "O=spin")))


def test_a_netlist_without_paths_is_refused():
    with pytest.raises(ValueError, match="no path"):
        critical_path(netlist())
