"""The scratchpads as block memories, counted by their shapes.

Yosys is too slow for memories of their size; a 36 Kb block RAM is up to 72 bits wide, an UltraRAM
has 4096 words of 72 bits (UG573).
"""

from dataclasses import dataclass

from sparsat.hw.a_side import feeders
from sparsat.hw.array_op import WORD
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.site import half_rows_b, half_rows_c, half_values_a
from sparsat.hw.load_walk import rows_of_line

BRAM18_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Bits of a word and words of a half of a block RAM."""
URAM_WIDTH, URAM_DEPTH = 72, 4096
INDEX_BITS = 9
"""An index of four bits is written alone, so it takes a byte with its parity bit."""


@dataclass(frozen=True)
class Scratchpad:
    """`count` memories of `depth` words of `width` bits; `place` is one of
    `blocks.PLACES`."""

    name: str
    count: int
    width: int
    depth: int
    place: str

    @property
    def bram18(self) -> int:
        """Halves of block RAMs for all, in the shape that takes the fewest."""
        shapes = (-(-self.width // bits) * -(-self.depth // words) for bits, words in BRAM18_SHAPES)
        return self.count * min(shapes)

    @property
    def uram(self) -> int:
        """UltraRAMs for all."""
        return self.count * -(-self.width // URAM_WIDTH) * -(-self.depth // URAM_DEPTH)


def scratchpads(config: SATConfig) -> list[Scratchpad]:
    """A's copies, B's values and indices, C, as the hardware has them."""
    bits = config.fmt.width
    width = max(8 * config.line_bytes, WORD * bits)
    a_depth = 2 * half_values_a(config) * bits // width
    found = [Scratchpad("A", feeders(config), width, a_depth, "row")]
    for name, value_bits, index in (("B", bits, False), ("B indices", INDEX_BITS, True)):
        rows = rows_of_line(config, index=index)
        depth = 2 * -(-half_rows_b(config) // rows)
        found.append(Scratchpad(name, config.cols, rows * value_bits, depth, "b"))
    return [*found, Scratchpad("C", 2 * config.cols, 32, half_rows_c(config), "c")]
