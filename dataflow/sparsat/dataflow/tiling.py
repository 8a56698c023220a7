"""How FF and BP are cut: slabs of pixels of A, blocks of columns of B, parts of the reduction.

A slab is some whole images, or some rows of pixels of each image. A block of B's columns goes over
all slabs while it stays in the scratchpad. Where it does not fit, its reduction is cut in parts,
which go one after another into the same sums: rows of taps, while the slab stays, or, of a matrix
(`Spread.matrix`), ranges of channels of A and B alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from sparsat.dataflow.layout import Activation, padded
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Spread
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.copies import column_rows


@dataclass(frozen=True)
class Slabs:
    """`images` whole images per slab, or `rows` rows of pixels of one."""

    images: int
    rows: int | None = None


@dataclass(frozen=True)
class Run:
    """Equal chunks: `count` of `images` images from image `first`, or, for every image, `count` of
    `rows` rows from row `first`."""

    images: int
    rows: int
    first: int
    count: int
    by_rows: bool


@dataclass(frozen=True)
class Tiling:
    """How the phases of an operation that share B are cut into chunks, and how large these are."""

    phases: tuple[Spread, ...]
    mapping: Mapping
    slabs: Slabs
    width: int
    """Columns of B per block, in blocks of `cols`."""
    parts: int
    """Into how many parts the reduction is cut."""
    cut: int | None = None
    """Channels of a part, whole lines, the last part maybe fewer. None: parts are rows of taps."""
    prune: bool = False
    """B is dense in memory and pruned while it is loaded."""

    @property
    def nest(self) -> Spread:
        """Any of the phases."""
        return self.phases[0]

    @cached_property
    def config(self) -> SATConfig:
        return self.nest.a.config

    @cached_property
    def column_blocks(self) -> int:
        """Of one product, whole blocks of memory."""
        return padded(self.nest.columns, self.config.block) // self.config.cols

    def widths(self) -> Iterator[tuple[int, int]]:
        """Widths of column blocks, and how many blocks of that width there are."""
        whole, rest = divmod(self.column_blocks, self.width)
        if whole:
            yield self.width, whole
        if rest:
            yield rest, 1

    def runs(self, nest: Spread) -> list[Run]:
        by_rows = self.slabs.rows is not None
        total = nest.y.count if by_rows else nest.images
        each = min(self.slabs.rows or self.slabs.images, total)
        whole, rest = divmod(total, each)
        sizes = [(each, 0, whole)] + ([(rest, whole * each, 1)] if rest else [])
        return [
            Run(1 if by_rows else size, size if by_rows else nest.y.count, first, count, by_rows)
            for size, first, count in sizes
        ]

    def pixels(self, nest: Spread, run: Run) -> int:
        """Rows of C of one product in a chunk."""
        return run.images * run.rows * nest.x.count

    def taps(self, nest: Spread) -> int:
        """Taps of a part."""
        return 1 if self.cut else nest.y.taps * nest.x.taps // self.parts

    def groups(self, nest: Spread) -> int:
        """k-groups of a part."""
        return max(self.taps(nest) * self.channel_groups(nest), 1)

    def channel_groups(self, nest: Spread) -> int:
        """k-groups of a tap in a part."""
        return -(-(self.cut or nest.channels) // self.mapping.m)

    def least_period(self, nest: Spread) -> int:
        return self.mapping.least_period(self.channel_groups(nest))

    def used(self, nest: Spread, width: int) -> int:
        """Column blocks that are computed: all, since those beyond the last column are the zeros
        that later operations expect in padded channels."""
        return width

    def loops(self, nest: Spread, run: Run) -> dict[str, int]:
        """Of EXEC: images, then slabs of each; with parts slabs, then the parts of each."""
        if self.parts > 1:
            return {"outer": run.count, "inner": self.parts}
        return {"outer": nest.images if run.by_rows else 1, "inner": run.count}

    def chunks(self, nest: Spread, run: Run) -> int:
        """Slabs of all images."""
        return run.count * (nest.images if run.by_rows else 1)

    # -- operands in the scratchpads -------------------------------------------------------------

    def a(self, nest: Spread) -> Activation:
        """What a part takes of A, as it lies in the scratchpad."""
        return replace(nest.a, channels=self.cut) if self.cut else nest.a

    def a_lines(self, nest: Spread, run: Run) -> int:
        a = self.a(nest)
        if run.by_rows:
            return a.lines(a.row_values) * ((run.rows - 1) * nest.y.step + nest.y.reach)
        return a.lines(a.image_values) * run.images

    @cached_property
    def pattern_in_memory(self) -> tuple[int, int]:
        n, m = self.mapping.n, self.mapping.m
        return (m, m) if self.prune else (n, m)

    @cached_property
    def b_memory_rows(self) -> int:
        """From one block of columns to the next."""
        weights = self.nest.weights
        reduced = weights.taps * padded(self.nest.channels, self.config.block)
        return column_rows(self.config, reduced, *self.pattern_in_memory)

    @cached_property
    def b_part_rows(self) -> int:
        """Of a block of columns, those that a part takes."""
        n, m = self.pattern_in_memory
        return self.cut * n // m if self.cut else self.b_memory_rows // self.parts

    @cached_property
    def b_rows(self) -> int:
        """Of a block of columns of a part in the scratchpad."""
        return self.b_part_rows * self.mapping.n // self.pattern_in_memory[0]

    def b_lines(self, width: int) -> int:
        """Of a part."""
        n, m = self.pattern_in_memory
        values = self.b_part_rows * width * self.nest.products * self.config.cols
        return values * (4 if n == m else 5) // (2 * self.config.line_bytes)
