"""How tensors lie in the machine's memory: docs/architecture.md has the table."""

from dataclasses import dataclass
from functools import cached_property

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.copies import column_rows

HALF, SINGLE = 2, 4
"""Bytes of an operand, and of a sum."""
WIDE = 16
"""Lines from which on the channels of a pixel are padded to whole ones."""


def padded(count: int, unit: int) -> int:
    return -(-count // unit) * unit


@dataclass(frozen=True)
class Activation:
    """FP16 [images, height, width, channels]: channels padded to blocks, image rows to lines.

    Many channels, `WIDE` lines or more, are padded to lines, so that a part of them can be loaded.
    """

    config: SATConfig
    images: int
    height: int
    width: int
    channels: int

    @cached_property
    def pitch(self) -> int:
        """Values from one pixel to the next."""
        line = self.config.line_bytes // HALF
        wide = self.channels >= WIDE * line
        return padded(self.channels, line if wide else self.config.block)

    @property
    def tokens_begin_at_lines(self) -> bool:
        return self.pitch * HALF % self.config.line_bytes == 0

    @cached_property
    def row_values(self) -> int:
        return padded(self.width * self.pitch, self.config.line_bytes // HALF)

    @cached_property
    def image_values(self) -> int:
        return self.height * self.row_values

    @property
    def bytes(self) -> int:
        return self.images * self.image_values * HALF

    def lines(self, values: int) -> int:
        """Lines of a whole number of image rows."""
        return values * HALF // self.config.line_bytes

    def b_rows(self, values: int) -> int:
        """Rows of the B scratchpad."""
        return values // self.config.cols


@dataclass(frozen=True)
class Weights:
    """A weight [taps, inputs, outputs]: masters in blocks, and two operand copies.

    `inputs` and `outputs` are padded to blocks here. The forward copy holds
    [outputs / cols][taps · inputs] rows of `cols` outputs, of which n in m are kept; the backward
    copy [inputs / cols][taps · outputs] rows of `cols` inputs. Both are given room for the larger.
    """

    config: SATConfig
    taps: int
    inputs: int
    outputs: int

    @classmethod
    def of(cls, config: SATConfig, taps: int, inputs: int, outputs: int) -> "Weights":
        return cls(config, taps, padded(inputs, config.block), padded(outputs, config.block))

    @property
    def elements(self) -> int:
        return self.taps * self.inputs * self.outputs

    @property
    def master_block(self) -> int:
        """Bytes of a block of masters: D inputs × cols outputs."""
        return self.config.block * self.config.cols * SINGLE

    def copy_rows(self, n: int, m: int) -> int:
        """Rows of the larger operand copy."""
        sides = ((self.inputs, self.outputs), (self.outputs, self.inputs))
        return max(
            columns // self.config.cols * column_rows(self.config, self.taps * reduced, n, m)
            for reduced, columns in sides
        )
