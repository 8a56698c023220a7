"""Instructions as the engines see them: the bits of `isa.encoding` as structures."""

from enum import IntEnum

from amaranth.hdl import Shape
from amaranth.lib.data import StructLayout

from sparsat.hw.burst_words import NUMBER_BITS
from sparsat.hw.isa.encoding import OPCODE_BITS, PLACES
from sparsat.hw.isa.instructions import Opcode


class Error(IntEnum):
    """Codes of the error register, see docs/isa.md."""

    NONE = 0
    OPCODE = 1
    FIELD = 2
    RANGE = 3
    SEMAPHORE = 4
    DEADLOCK = 5
    BUS = 6


def fields_layout(opcode: Opcode) -> StructLayout:
    """An instruction from its lowest bit up: `opcode`, then its fields by their names."""
    fields = {place.name: Shape(place.width.bits, place.width.signed) for place in PLACES[opcode]}
    return StructLayout({"opcode": OPCODE_BITS, **fields})


def queued_layout(opcode: Opcode) -> StructLayout:
    """An instruction in its engine's queue: its `number` in the program, its fields `x`."""
    return StructLayout({"number": NUMBER_BITS, "x": fields_layout(opcode)})
