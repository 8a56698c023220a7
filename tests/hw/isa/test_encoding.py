import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruction_cases import instructions
from sparsat.hw.isa.encoding import PLACES, decode, decode_program, encode, encode_program
from sparsat.hw.isa.instructions import INSTRUCTIONS, Exec, Halt, LoadA, Sem, Vector


def raises(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


@given(st.lists(instructions(), max_size=5))
def test_bytes_hold_the_program(program):
    data = encode_program(program)
    assert len(data) == 256 * len(program)
    assert decode_program(data) == program


@given(instructions())
def test_one_instruction(instruction):
    assert decode(encode(instruction)) == instruction


@given(instructions())
def test_bits_are_where_the_binary_digits_of_the_fields_say(instruction):
    """The string of digits, written from the last field to the opcode."""
    digits = f"{instruction.OPCODE:08b}"
    for place in PLACES[instruction.OPCODE]:
        value = getattr(instruction, place.name) % 2**place.width.bits
        digits = f"{value:0{place.width.bits}b}" + digits
    assert encode(instruction) == int(digits, 2).to_bytes(256, "little")


def test_an_instruction_by_hand():
    load = LoadA(op=0x030201, wait=1 << Sem.STORE_TO_LOAD_A, address=0xA0, inner=2, inner_stride=-1)
    data = encode(load)
    assert data[:9] == bytes([1, 1, 2, 3, 0x40, 0, 0, 0, 0])  # opcode, op, wait, signal
    assert data[12:17] == bytes([0xA0, 0, 0, 0, 0])
    assert data[17:20] == bytes([1, 0, 0])
    assert data[25:28] == bytes([2, 0, 0])
    assert data[28:33] == bytes([0xFF] * 5)
    assert not any(data[44:])


@pytest.mark.parametrize("kind", INSTRUCTIONS.values())
def test_every_field_fits_the_instruction(kind):
    assert PLACES[kind.OPCODE][-1].end <= 256 * 8


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("lines", 1 << 24, "from 0 to 16777215"),
        ("lines", -1, "from 0 to 16777215"),
        ("inner_stride", 1 << 39, "from -549755813888 to 549755813887"),
        ("inner_stride", -(1 << 39) - 1, "from -549755813888 to 549755813887"),
        ("address", 0.5, "from 0 to 1099511627775"),
    ],
)
def test_a_field_that_does_not_fit_is_named(field, value, allowed):
    wrong = replace(LoadA(), **{field: value})
    message = f"LOAD_A: {field} is {value}, it must be an integer {allowed}"
    with raises(message):
        encode(wrong)
    with raises(f"instruction 1, {message}"):
        encode_program([Halt(), wrong])


def test_what_cannot_be_decoded_is_named_with_its_offset():
    halt = encode(Halt())
    with raises("byte 256: opcode 7 is unknown, it must be 0 to 6"):
        decode_program(halt + b"\7" + halt[1:])
    with raises(
        "byte 256: the data end after 3 bytes of an instruction, "
        "their length must be a multiple of 256"
    ):
        decode_program(halt + halt[:3])
    with raises("512 bytes are not one instruction of 256 bytes"):
        decode(halt + halt)


@pytest.mark.parametrize("kind", [Halt, Exec, Vector])
@pytest.mark.parametrize("beyond", [0, 5, -1])
def test_bits_beyond_the_last_field(kind, beyond):
    end = PLACES[kind.OPCODE][-1].end
    bit = 2047 if beyond < 0 else end + beyond
    data = bytearray(encode(Halt()) + encode(kind()))
    data[256 + bit // 8] |= 1 << bit % 8
    name = kind.OPCODE.name
    with raises(
        f"byte {256 + bit // 8}: bit {bit} of {name} at byte 256 is 1, "
        f"all from bit {end} on must be 0"
    ):
        decode_program(bytes(data))
