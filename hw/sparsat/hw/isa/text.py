"""Programs as text: an instruction a line, `LOAD_A op=3 wait=STORE_TO_LOAD_A lines=8`.

What is left out has its default. Masks are semaphores joined by `|`, `mode` and the advances go by
name, the factors of UPDATE are decimal numbers (rounded to binary32) or their bits in hexadecimal,
all else whole numbers, decimal or `0x…`. A comment begins with `;`.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum

import numpy as np

from sparsat.hw.isa.encoding import PLACES, check_widths
from sparsat.hw.isa.instructions import INSTRUCTIONS, Advance, Instruction, Mode, Opcode, Sem

MASKS = ("wait", "signal")
FACTORS = ("rate", "momentum_factor", "decay", "masked_decay", "inverse_scale")
"""Fields that hold the bits of a binary32."""
NAMED: dict[str, type[IntEnum]] = {
    "mode": Mode,
    "a_advance": Advance,
    "b_advance": Advance,
    "c_advance": Advance,
}


def float_bits(value: float) -> int:
    """The binary32 nearest to `value`, as bits. Raises OverflowError if that is infinite."""
    return int.from_bytes(struct.pack("<f", value), "little")


def disassemble(program: Iterable[Instruction]) -> str:
    """The text of `program`; `assemble` makes the same program of it."""
    return "".join(f"{_line(instruction)}\n" for instruction in program)


def assemble(text: str) -> list[Instruction]:
    """The program in `text`. Raises ValueError that names the line and what would be right."""
    program = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(";")[0].split()
        try:
            if words:
                program.append(_instruction(*words))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return program


def _line(instruction: Instruction) -> str:
    words = [instruction.OPCODE.name]
    for place in PLACES[instruction.OPCODE]:
        value = getattr(instruction, place.name)
        if value != place.default:
            words.append(f"{place.name}={_print(place.name, value)}")
    return " ".join(words)


def _print(name: str, value: int) -> str:
    if name in MASKS:
        known = [sem.name for sem in Sem if value >> sem & 1]
        unknown = value & -(1 << len(Sem))
        return "|".join(known + ([hex(unknown)] if unknown else []))
    if name in FACTORS:
        number = str(np.array(value, np.uint32).view(np.float32)[()])
        return number if float_bits(float(number)) == value else hex(value)
    if name in NAMED and value in list(NAMED[name]):
        return NAMED[name](value).name
    return str(int(value))


def _instruction(mnemonic: str, *words: str) -> Instruction:
    if mnemonic not in Opcode.__members__:
        raise ValueError(f"{mnemonic} is no instruction, it must be {_one_of(Opcode.__members__)}")
    opcode = Opcode[mnemonic]
    known = [place.name for place in PLACES[opcode]]
    values: dict[str, int] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word} must be written as field=value")
        if name not in known:
            raise ValueError(f"{mnemonic} has no field {name}, it must be {_one_of(known)}")
        if name in values:
            raise ValueError(f"{name} is given twice, it must be given once")
        values[name] = _value(name, text)
    instruction = INSTRUCTIONS[opcode](**values)
    check_widths(instruction)
    return instruction


def _value(name: str, text: str) -> int:
    if name in MASKS:
        mask = 0
        for part in text.split("|"):
            mask |= 1 << Sem[part] if part in Sem.__members__ else _number(name, part, Sem)
        return mask
    if name in FACTORS and not text.startswith("0x"):
        return _factor(name, text)
    if name in NAMED and text in NAMED[name].__members__:
        return NAMED[name][text]
    return _number(name, text, NAMED.get(name))


def _number(name: str, text: str, names: type[IntEnum] | None) -> int:
    try:
        return int(text, 0)
    except ValueError:
        allowed = f"{_one_of(names.__members__)}, or a number" if names else "a whole number"
        raise ValueError(f"{name} is {text!r}, it must be {allowed}") from None


def _factor(name: str, text: str) -> int:
    try:
        return float_bits(float(text))
    except (ValueError, OverflowError):
        allowed = "a number that binary32 holds, or its bits as 0x…"
        raise ValueError(f"{name} is {text!r}, it must be {allowed}") from None


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"
