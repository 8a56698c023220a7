"""An instruction in its program, and the sentences that say what is wrong with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Instruction
from sparsat.hw.isa.nest import Dim, Span, span


def half_values_a(config: SATConfig) -> int:
    return config.a_scratch_kib * 1024 // 2 // 2


def half_rows_b(config: SATConfig) -> int:
    return config.b_scratch_kib * 1024 // 2 // (2 * config.cols)


def half_rows_c(config: SATConfig) -> int:
    return config.c_scratch_kib * 1024 // 2 // (4 * config.cols)


def most_channels(config: SATConfig) -> int:
    """Values of a token, at most, that LOAD_B transposes: it holds two blocks of `cols` tokens."""
    return min(4096, half_rows_b(config))


@dataclass(frozen=True)
class Site:
    """Instruction `index` of a program."""

    index: int
    instruction: Instruction

    def error(self, text: str) -> ValueError:
        return ValueError(f"instruction {self.index}, {self.instruction.OPCODE.name}: {text}")

    def need(self, field: str, holds: bool, allowed: str) -> None:
        """Raise ValueError that names the field, its value and what is allowed, if not `holds`."""
        if not holds:
            value = getattr(self.instruction, field)
            raise self.error(f"{field} is {value!r}, it must be {allowed}")

    def need_counts(self, *fields: str) -> None:
        """Loops run at least once."""
        for field in fields:
            self.need(field, getattr(self.instruction, field) >= 1, "at least 1")

    def need_multiples(self, unit: int, of: str, *fields: str) -> None:
        for field in fields:
            value = getattr(self.instruction, field)
            self.need(field, value % unit == 0, f"a multiple of {of}, {unit} bytes")

    def need_inside(self, field: str, reached: Span, size: int, what: str) -> None:
        """All addresses from `reached[0]` to `reached[1]` lie in `what`, which has `size`."""
        low, high = reached
        if low < 0 or high >= size:
            raise self.error(
                f"{field} is {getattr(self.instruction, field)}, with its steps it reaches "
                f"{low} to {high}, it must stay within 0 to {size - 1}, {what}"
            )

    def need_room(self, field: str, size: int, room: int, what: str) -> None:
        """A chunk of `size`, of which `field` is a factor, fits the `room` of `what`."""
        self.need(field, size <= room, f"less: a chunk has {size}, {room} are {what}")

    def need_memory(self, field: str, dims: Iterable[Dim], size: int, memory_bytes: int) -> None:
        """Blocks of `size` bytes from the address in `field` on, all in memory."""
        first, last = span(getattr(self.instruction, field), dims)
        self.need_inside(field, (first, last + size - 1), memory_bytes, "the bytes of memory")
