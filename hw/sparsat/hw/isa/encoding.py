"""Instructions as bytes: the opcode, then the fields in their order, packed without gaps."""

from collections.abc import Iterable
from dataclasses import fields
from typing import NamedTuple

from sparsat.hw.isa.instructions import (
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    Instruction,
    Opcode,
    Width,
)

OPCODE_BITS = 8


class Place(NamedTuple):
    """Where a field lies in its instruction: `width.bits` bits from bit `start` up."""

    name: str
    start: int
    width: Width
    default: int

    @property
    def end(self) -> int:
        """The bit after the last one."""
        return self.start + self.width.bits


def _places(kind: type[Instruction]) -> tuple[Place, ...]:
    found, start = [], OPCODE_BITS
    for field in fields(kind):
        width: Width = field.metadata["width"]
        found.append(Place(field.name, start, width, getattr(kind, field.name)))
        start += width.bits
    return tuple(found)


PLACES = {opcode: _places(kind) for opcode, kind in INSTRUCTIONS.items()}
"""The fields of each instruction, lowest bits first."""


def check_widths(instruction: Instruction) -> None:
    """Raise ValueError that names the instruction, field, value and range if one does not fit."""
    for name, _, width, _ in PLACES[instruction.OPCODE]:
        value = getattr(instruction, name)
        if not isinstance(value, int) or not width.least <= value <= width.most:
            raise ValueError(
                f"{instruction.OPCODE.name}: {name} is {value!r}, "
                f"it must be an integer from {width.least} to {width.most}"
            )


def encode(instruction: Instruction) -> bytes:
    """`INSTRUCTION_BYTES` bytes, little-endian. Raises ValueError if a field does not fit."""
    check_widths(instruction)
    bits = int(instruction.OPCODE)
    for name, start, width, _ in PLACES[instruction.OPCODE]:
        bits |= (getattr(instruction, name) & (1 << width.bits) - 1) << start
    return bits.to_bytes(INSTRUCTION_BYTES, "little")


def decode(data: bytes) -> Instruction:
    """The one instruction in `data`. Raises ValueError as `decode_program` does."""
    program = decode_program(data)
    if len(program) != 1:
        raise ValueError(f"{len(data)} bytes are not one instruction of {INSTRUCTION_BYTES} bytes")
    return program[0]


def encode_program(program: Iterable[Instruction]) -> bytes:
    """All instructions, one after the other. A ValueError also names the instruction's index."""
    encoded = []
    for index, instruction in enumerate(program):
        try:
            encoded.append(encode(instruction))
        except ValueError as error:
            raise ValueError(f"instruction {index}, {error}") from None
    return b"".join(encoded)


def decode_program(data: bytes) -> list[Instruction]:
    """All instructions in `data`.

    Raises ValueError that names the byte offset at which `data` is none, and why.
    """
    left = len(data) % INSTRUCTION_BYTES
    if left:
        raise ValueError(
            f"byte {len(data) - left}: the data end after {left} bytes of an instruction, "
            f"their length must be a multiple of {INSTRUCTION_BYTES}"
        )
    return [_decode(data, at) for at in range(0, len(data), INSTRUCTION_BYTES)]


def _decode(data: bytes, at: int) -> Instruction:
    bits = int.from_bytes(data[at : at + INSTRUCTION_BYTES], "little")
    opcode = bits & (1 << OPCODE_BITS) - 1
    if opcode not in INSTRUCTIONS:
        raise ValueError(f"byte {at}: opcode {opcode} is unknown, it must be 0 to {max(Opcode)}")
    places = PLACES[Opcode(opcode)]
    end = places[-1].end
    beyond = bits >> end
    if beyond:
        first = end + (beyond & -beyond).bit_length() - 1
        raise ValueError(
            f"byte {at + first // 8}: bit {first} of {Opcode(opcode).name} at byte {at} is 1, "
            f"all from bit {end} on must be 0"
        )
    values = {place.name: _read(bits, place) for place in places}
    return INSTRUCTIONS[Opcode(opcode)](**values)


def _read(bits: int, place: Place) -> int:
    value = bits >> place.start & (1 << place.width.bits) - 1
    return value - (1 << place.width.bits) if value > place.width.most else value
