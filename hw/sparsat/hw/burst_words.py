"""What engines and `Bursts` exchange: bursts asked for, lines, answers."""

from enum import IntEnum
from typing import Any

from amaranth.hdl import Cat, Const, Value, ValueLike
from amaranth.lib.data import StructLayout

from sparsat.hw.axi import line_bits
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Sem
from sparsat.hw.timing import BURST

NUMBER_BITS = 24
"""Of an instruction's number in its program."""
BURST_BITS = (BURST - 1).bit_length()
"""Of a line's place among the `BURST` lines between which bursts lie."""


class Requester(IntEnum):
    """Who asks for bursts, in the order of their turns."""

    FETCH = 0
    LOAD_A = 1
    LOAD_B = 2
    STORE = 3
    UPDATE = 4


WRITERS = (Requester.STORE, Requester.UPDATE)
TAG = StructLayout(
    {
        **{"index": 1, "arranged": 1, "full": 1, "end": 1},
        **{"signal": len(Sem), "number": NUMBER_BITS},
    }
)
"""What an engine is told again with a burst's answer: lines of an `index` plane, lines that SORE or
the transposer takes (`arranged`), the last burst of a chunk (`full`), of an instruction (`end`),
what that signals, its number."""


def request_layout(config: SATConfig) -> StructLayout:
    """A burst: `count` lines from `line` on, within `BURST` aligned ones."""
    return StructLayout(
        {"line": line_bits(config), "count": range(BURST + 1), "write": 1, "tag": TAG}
    )


def request_bits(config: SATConfig, tag: dict[str, ValueLike], **fields: ValueLike) -> Value:
    """A request in one value, so that Verilog drives all its bits; what is not named is 0."""
    return _bits(request_layout(config), fields | {"tag": _bits(TAG, tag)})


def _bits(layout: StructLayout, fields: dict[str, Any]) -> Value:
    parts = []
    for name, field in layout:
        value = Value.cast(fields.get(name, 0))
        parts.append((value | Const(0, field.width))[: field.width])
    return Cat(parts)


def line_layout(config: SATConfig) -> StructLayout:
    """A line to write: its bytes, and which of them count."""
    return StructLayout({"data": 8 * config.line_bytes, "strobe": config.line_bytes})


def answer_layout(config: SATConfig) -> StructLayout:
    """A line that was read, the `last` of its burst or not, with the burst's tag."""
    return StructLayout({"data": 8 * config.line_bytes, "last": 1, "tag": TAG})
