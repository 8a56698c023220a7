"""Delays of UltraScale+ primitives and nets, in ps: the model behind `timing`.

- Paths start at flip-flops, memories, DSPs that have pipeline registers, and top input ports; they
  end there and at top output ports. Ports count as flip-flops just outside. One clock, no skew.
- Every net costs `NET_PS`, but for those inside a slice: LUT to carry chain, carry to carry, LUT to
  wide multiplexer. A carry input of type S is the output of a LUT, which is added where Yosys left
  it out.
- A memory made of LUTs reads like a six-input LUT; its writes end at its inputs. What it stores
  shows one flip-flop and one LUT after the clock edge.
- A DSP with an M or P register is clocked at both ends. Without one it is a combinational cell, and
  a flip-flop straight before or after it is taken to be its A, B or P register, which Yosys never
  uses: the net between them is free, and register to DSP to register comes to `DSP_MULTIPLY_PS`.

Cells are dictionaries as in Yosys's JSON.
"""

from typing import Any, NamedTuple

from sparsat.hw.tools import primitives

Cell = dict[str, Any]

# FloPoCo's model of a VU3P-2, which has figures for two, five and six inputs: interpolated.
LUT_PS = {1: 50.0, 2: 50.0, 3: 45.0, 4: 40.0, 5: 35.0, 6: 148.0}
CLOCK_TO_Q_PS = 150.0
CARRY_ENTER_PS = 115.0
CARRY_LEAVE_PS = 116.0
CARRY8_PS = 15.0
LUT_TO_CARRY_PS = 11.0
# The upper end of the 180 to 300 ps that FloPoCo finds typical of local routing.
NET_PS = 300.0
# DS923, speed grade -2: a multiplier with its A, B and P registers but not M runs at 544 MHz.
DSP_MULTIPLY_PS = 1e6 / 544
# Assumptions: a wide multiplexer is as fast as a small LUT; a flip-flop's setup; a block RAM or
# UltraRAM without its output register.
MUX_PS = 35.0
SETUP_PS = 40.0
MEMORY_CLOCK_TO_Q_PS = 1000.0


class Pin(NamedTuple):
    """One end of a net: a port of a cell, or a top port, whose kind is `port`."""

    cell: str
    kind: str
    port: str


def launch_ps(cell: Cell) -> float | None:
    """When a clocked cell's outputs change after the clock edge; `None` for any other cell."""
    kind = cell["type"]
    if primitives.is_flip_flop(kind) or (kind == primitives.DSP and _has_registers(cell)):
        return CLOCK_TO_Q_PS
    if kind in primitives.LUT_MEMORIES:
        return CLOCK_TO_Q_PS + LUT_PS[6]
    if kind in primitives.BLOCK_MEMORIES or kind == primitives.ULTRA_RAM:
        return MEMORY_CLOCK_TO_Q_PS
    return None


def arc_ps(cell: Cell, port: str, i: int, out: str, j: int) -> float | None:
    """Delay from bit `i` of input `port` to bit `j` of output `out`; `None` without a path."""
    kind = cell["type"]
    if inputs := primitives.lut_inputs(kind):
        return LUT_PS[inputs]
    if kind in primitives.MUXES:
        return MUX_PS
    if kind in primitives.CARRIES:
        if port == "CI":
            return CARRY8_PS * primitives.CARRIES[kind]
        return CARRY_ENTER_PS if i <= j else None
    if kind in primitives.LUT_MEMORIES:
        return LUT_PS[6] if _reads(port, out) else None
    if kind == primitives.DSP and not _has_registers(cell):
        return DSP_MULTIPLY_PS - CLOCK_TO_Q_PS - SETUP_PS
    return None


def net_ps(driver: Pin, sink: Pin) -> float:
    """Delay of a net from the output `driver` to the input `sink`."""
    if _is_free(driver, sink):
        return 0.0
    into_carry = sink.kind in primitives.CARRIES
    if into_carry and primitives.lut_inputs(driver.kind):
        return LUT_TO_CARRY_PS
    leave = CARRY_LEAVE_PS if driver.kind in primitives.CARRIES else 0.0
    through_lut = LUT_PS[1] + LUT_TO_CARRY_PS if into_carry and sink.port == "S" else 0.0
    return leave + NET_PS + through_lut


def is_clock(pin: Pin) -> bool:
    """Whether an input pin is a clock."""
    return "CLK" in pin.port or (pin.port == "C" and primitives.is_flip_flop(pin.kind))


def _has_registers(dsp: Cell) -> bool:
    return any(int(dsp["parameters"][name], 2) for name in ("MREG", "PREG"))


def _reads(port: str, out: str) -> bool:
    """Whether address `port` of a LUT memory selects what its output `out` shows."""
    if out.startswith("DO"):
        return port == f"ADDR{out[2:]}"
    return port.startswith("DPRA" if out == "DPO" else "A") and out != "Q31"


def _is_free(driver: Pin, sink: Pin) -> bool:
    """Whether a net stays inside a slice or a DSP."""
    if sink.kind in primitives.CARRIES:
        return driver.kind in primitives.CARRIES and sink.port == "CI"
    if sink.kind in primitives.MUXES:
        feeds_mux = primitives.lut_inputs(driver.kind) or driver.kind in (
            *primitives.MUXES,
            *primitives.LUT_MEMORIES,
        )
        return bool(feeds_mux) and sink.port != "S"
    return _is_dsp_register(driver, sink)


def _is_dsp_register(driver: Pin, sink: Pin) -> bool:
    """Whether a net joins a DSP to the data of a flip-flop, or to a port, which counts as one."""
    if primitives.DSP not in (driver.kind, sink.kind):
        return False
    other = sink if driver.kind == primitives.DSP else driver
    return other.kind == "port" or (
        primitives.is_flip_flop(other.kind) and other.port in ("D", "Q")
    )
