"""The registers through which a host drives the accelerator, as plain data.

`make registers` writes docs/registers.md from them.
"""

import hashlib
import json
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Opcode

ADDRESS_BITS = 12
"""Of the slave: a page of 4 KiB."""
ID = 0x31544153
"""The letters SAT1."""
VERSION = 1
MOST_CHANNELS = 4


class State(IntEnum):
    """What the machine does, in the lowest bits of STATUS."""

    IDLE = 0
    RUNNING = 1
    WAITING = 2
    DONE = 3
    ERROR = 4
    RESETTING = 5


class Control(IntFlag):
    """Bits of CONTROL: what is written as 1 happens once."""

    START = 1
    ACKNOWLEDGE = 2
    RESET = 4


class Status(IntFlag):
    """Bits of STATUS above the state."""

    OVERFLOW = 1 << 8
    REFUSED = 1 << 9


class Interrupt(IntFlag):
    """Bits of INTERRUPT_ENABLE and INTERRUPT_PENDING."""

    END = 1
    VECTOR = 2


class Register(NamedTuple):
    """`bits` (32, or 64 in two words, the lower one first) at byte `offset`.

    `access` is r (read), w (written: reads as 0), rw, or rc (read; ones that are written clear).
    """

    name: str
    offset: int
    bits: int
    access: str
    meaning: str

    def words(self) -> Iterator[tuple[int, int]]:
        """Byte offset and lowest bit of each word."""
        return ((self.offset + bit // 8, bit) for bit in range(0, self.bits, 32))


def register_map(config: SATConfig) -> dict[str, Register]:
    """By name, in the order of their offsets."""
    found = [register for register in _all() if register.name not in _absent(config)]
    return {register.name: register for register in found}


def config_id(config: SATConfig) -> int:
    """32 bits that tell a configuration from others."""
    text = json.dumps(config.to_dict(), sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def _absent(config: SATConfig) -> set[str]:
    return {f"MEMORY_BASE_{port}" for port in range(config.channels, MOST_CHANNELS)}


def _all() -> list[Register]:
    states = ", ".join(f"{state:d} {state.name}" for state in State)
    registers = [
        Register("ID", 0x00, 32, "r", f"0x{ID:08x}"),
        Register("VERSION", 0x04, 32, "r", f"of this page: {VERSION}"),
        Register("CONFIG", 0x08, 32, "r", "a hash of the configuration (`config_id`)"),
        Register("CONTROL", 0x0C, 32, "w", _bits(Control)),
        Register("STATUS", 0x10, 32, "r", f"bits 2–0 state: {states}; {_bits(Status)}"),
        Register("ERROR", 0x14, 32, "r", "code of the first error since the start, 0 if none"),
        Register("ERROR_INSTRUCTION", 0x18, 32, "r", "number of the instruction that it is about"),
        Register("VECTOR_OP", 0x1C, 32, "r", "`op` of the VECTOR that waits for the host"),
        Register("INTERRUPT_ENABLE", 0x20, 32, "rw", _bits(Interrupt)),
        Register("INTERRUPT_PENDING", 0x24, 32, "rc", _bits(Interrupt)),
        Register("INSTRUCTIONS", 0x28, 32, "rw", "of the program, with HALT: at most 2²⁴ − 1"),
        Register("PROGRAM", 0x30, 64, "rw", "address of the program: whole bursts of 64 lines"),
        Register("MEMORY_BYTES", 0x38, 64, "rw", "size of memory: whole bursts of 64 lines"),
        Register("CYCLES", 0x40, 64, "r", "from the start to the end of the last instruction"),
    ]
    registers += [
        Register(f"STALL_{engine.name}", 0x40 + 8 * engine, 64, "r", "cycles it lacked semaphores")
        for engine in Opcode
        if engine is not Opcode.HALT
    ]
    registers.append(
        Register("ERROR_ADDRESS", 0x78, 64, "r", "where that instruction begins, 0 if no error")
    )
    registers += [
        Register(f"MEMORY_BASE_{n}", 0x80 + 8 * n, 64, "rw", f"port {n}'s address of memory, 4 KiB")
        for n in range(MOST_CHANNELS)
    ]
    return registers


def _bits(flags: type[IntFlag]) -> str:
    return ", ".join(f"bit {flag.value.bit_length() - 1} {flag.name}" for flag in flags)


HEAD = f"""\
# The registers

Made by `make registers`; [architecture.md](architecture.md) says how a host uses them. They are
behind an AXI4-Lite slave of 32 bits, `s_axil`. Access: r read, w write, rw both, rc read and
cleared by ones. Registers of 64 bits are two words, the lower one first. Other addresses are
answered with SLVERR, and so is writing what can only be read. `MEMORY_BASE_n` is there for each
memory port, of {MOST_CHANNELS} at most.

| offset | register | bits | access | meaning |
|--:|---|--:|---|---|
"""


def to_markdown() -> str:
    rows = [
        f"| 0x{each.offset:02x} | {each.name} | {each.bits} | {each.access} | {each.meaning} |\n"
        for each in _all()
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(to_markdown(), end="")
