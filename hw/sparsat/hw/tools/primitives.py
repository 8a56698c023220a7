"""What the Xilinx primitives in a mapped netlist cost."""

import re

# LUTs taken by one memory or shift register made of LUTs (UG974 lists the primitives).
LUT_MEMORIES = {
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
}
# An 18 Kb block RAM counts one, a 36 Kb block RAM two.
BLOCK_MEMORIES = {"RAMB18E2": 1, "RAMB36E2": 2}
CARRIES = {"CARRY4": 0.5, "CARRY8": 1.0}
MUXES = ("MUXF7", "MUXF8", "MUXF9")
CONSTANTS = ("GND", "VCC")
DSP = "DSP48E2"
ULTRA_RAM = "URAM288"


def lut_inputs(kind: str) -> int:
    """How many inputs a LUT primitive has; 0 for any other primitive. An inverter is a LUT."""
    match = re.fullmatch(r"LUT([1-6])", kind)
    return int(match[1]) if match else int(kind == "INV")


def is_flip_flop(kind: str) -> bool:
    """Whether the primitive is a flip-flop: FDRE, FDSE, FDCE, FDPE, or one of the falling edge."""
    return re.fullmatch(r"FD[RSCP]E(_1)?", kind) is not None
