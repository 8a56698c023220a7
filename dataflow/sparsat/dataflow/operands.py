"""Where the operands of an operation lie in memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Operands:
    """Byte addresses."""

    a: int
    b: int
    out: int
    b_index: int = 0
