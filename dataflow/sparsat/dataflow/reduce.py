"""Tiling of WU: the gradient's rows and columns in blocks that fit C, pixels in slabs.

Each block of the gradient goes over all slabs of pixels and then to memory, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from sparsat.dataflow.array_work import Work
from sparsat.dataflow.layout import HALF, SINGLE, Activation, padded
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Reduce
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.reduce_walk import Block, alike, walk
from sparsat.dataflow.runs import Level, store_levels
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec, Instruction, LoadA, LoadB, Store


@dataclass(frozen=True)
class Run:
    """`count` chunks of `images` images from image `first`, or of `rows` rows of every image."""

    images: int
    rows: int
    first: int
    count: int


@dataclass(frozen=True)
class ReducePlan:
    """One way to run it: `images` whole images per slab, or `rows` rows of one (a divisor).

    `cut`: of a matrix (`Reduce.matrix`), a slab holds only those channels that the block needs.
    """

    nest: Reduce
    mapping: Mapping
    images: int
    rows: int | None
    blocks: tuple[Block, ...]
    cut: bool = False

    @cached_property
    def config(self) -> SATConfig:
        return self.nest.a.config

    # -- how long --------------------------------------------------------------------------------

    def works(self) -> Iterator[Work]:
        """What the array does."""
        for block, count in alike(self.blocks).items():
            for index, run in enumerate(self.runs):
                yield Work(
                    times=count,
                    chunks=1,
                    parts=self._chunks(run),
                    fresh=int(index == 0),
                    p=self._p(block),
                    taps=1,
                    k=self._pixels(run),
                    products=block.products,
                    q=self._q(block),
                )

    def array_cycles(self) -> int:
        """Cycles of the array for everything."""
        return self.mapping.array_cycles(self.config, self.works())

    def _passes(self, pixels: int) -> int:
        return -(-pixels // (self.mapping.m * self.config.rows))

    def _slots(self, block: Block) -> int:
        return -(-self._p(block) // self.mapping.ir)

    def lines(self) -> tuple[int, int, int]:
        """Lines moved in all, before the first chunk can start, and after the last."""
        total = sum(
            count * (self._loaded(block) + self._stored(block))
            for block, count in alike(self.blocks).items()
        )
        first = self._a_lines(self.runs[0], self.blocks[0])
        first += self._b_lines(self.runs[0], self.blocks[0])
        return total, first, self._stored(self.blocks[-1])

    def _loaded(self, block: Block) -> int:
        return sum(
            self._chunks(run) * (self._a_lines(run, block) + self._b_lines(run, block))
            for run in self.runs
        )

    def _stored(self, block: Block) -> int:
        sums = self._p(block) * self._q(block) * block.products * self.config.cols
        return sums * SINGLE // self.config.line_bytes

    # -- parts -----------------------------------------------------------------------------------

    @cached_property
    def runs(self) -> list[Run]:
        nest = self.nest
        if self.rows is not None:
            return [Run(1, self.rows, 0, nest.y.count // self.rows)]
        whole, rest = divmod(nest.images, self.images)
        runs = [Run(self.images, nest.y.count, 0, whole)]
        return runs + ([Run(rest, nest.y.count, whole * self.images, 1)] if rest else [])

    def _chunks(self, run: Run) -> int:
        return run.count * (self.nest.images if self.rows is not None else 1)

    def _pixels(self, run: Run) -> int:
        return run.images * run.rows * self.nest.x.count

    def _taps(self, block: Block) -> int:
        return block.taps * self.nest.x.taps

    def _p(self, block: Block) -> int:
        """Rows of the gradient in a block, of one product."""
        taps = 1 if self.nest.turned else self._taps(block)
        return taps * block.ins * self.config.block

    def _q(self, block: Block) -> int:
        """Blocks of columns."""
        return block.q * (self._taps(block) if self.nest.turned else 1)

    def a(self, block: Block) -> Activation:
        """What a block needs of A, as it lies in the scratchpad."""
        return self._part(self.nest.a, block.ins * self.config.block)

    def b(self, block: Block) -> Activation:
        return self._part(self.nest.b, block.q * self.config.cols)

    def _part(self, tensor: Activation, channels: int) -> Activation:
        line = self.config.line_bytes // HALF
        return replace(tensor, channels=padded(channels, line)) if self.cut else tensor

    def _lines_of(self, run: Run, tensor: Activation, *, data: bool) -> int:
        if self.rows is None:
            return tensor.lines(tensor.image_values) * run.images
        y = self.nest.y
        rows = (run.rows - 1) * y.step + y.reach if data else run.rows
        return tensor.lines(tensor.row_values) * rows

    def _a_lines(self, run: Run, block: Block) -> int:
        return self._lines_of(run, self.a(block), data=not self.nest.turned)

    def _b_lines(self, run: Run, block: Block) -> int:
        return self._lines_of(run, self.b(block), data=self.nest.turned)

    # -- instructions ----------------------------------------------------------------------------

    def emit(self, at: Operands) -> list[Instruction]:
        """All of them, without op numbers, waits and signals; X is at `at.a`, dY at `at.b`."""
        if self.nest.turned:
            at = replace(at, a=at.b, b=at.a)
        return [instruction for block in self.blocks for instruction in self._block(at, block)]

    def _block(self, at: Operands, block: Block) -> list[Instruction]:
        runs = self.runs
        found: list[Instruction] = []
        for index, run in enumerate(runs):
            held, keep = int(index > 0), int(index + 1 < len(runs))
            found += [self._load_a(at, run, block), self._load_b(at, run, block)]
            found.append(self._exec(block, run, held, keep))
        found.append(self._store(at, block))
        return found

    def _loops(self, run: Run) -> dict[str, int]:
        return {"outer": self.nest.images if self.rows is not None else 1, "inner": run.count}

    def _load_a(self, at: Operands, run: Run, block: Block) -> LoadA:
        nest, lines = self.nest, self._a_lines(run, block)
        first = block.first_in * self.config.block
        return LoadA(**self._load(at.a, nest.a, run, first, lines, data=not nest.turned))

    def _load_b(self, at: Operands, run: Run, block: Block) -> LoadB:
        nest, lines = self.nest, self._b_lines(run, block)
        first = block.first_q * self.config.cols
        return LoadB(**self._load(at.b, nest.b, run, first, lines, data=nest.turned))

    def _load(
        self, address: int, tensor: Activation, run: Run, first: int, lines: int, *, data: bool
    ) -> dict[str, int]:
        """A run of slabs: of every pixel the channels from `first` on if `cut`, or all."""
        y = self.nest.y
        row, image = tensor.row_values * HALF, tensor.image_values * HALF
        if self.rows is None:
            start, stride = run.first * image, run.images * image
        else:
            start = y.first * row if data else 0
            stride = run.rows * (y.step if data else 1) * row
        fields = {"outer_stride": image, "inner_stride": stride, **self._loops(run)}
        if not self.cut:
            return {"address": address + start, "lines": lines, **fields}
        return {
            "address": address + start + first * HALF,
            "segments": self._pixels(run),
            "segment_stride": tensor.pitch * HALF,
            "lines": lines // self._pixels(run),
            **fields,
        }

    def _down(self, run: Run) -> int | None:
        """Rows of pixels from one chunk to the next, if they are cut by rows."""
        return None if self.rows is None else run.rows

    def _exec(self, block: Block, run: Run, held: int, keep: int) -> Exec:
        nest, mapping, config = self.nest, self.mapping, self.config
        pixels, p, os = self._pixels(run), self._p(block), mapping.os
        a_steps = walk(nest, self.a(block), block, self._down(run), data=not nest.turned)
        b_steps = walk(nest, self.b(block), block, self._down(run), data=nest.turned)
        whole = replace(block, first_in=0, first_q=0) if self.cut else block
        return Exec(
            **mapping.fields(),
            **self._loops(run),
            a_advance=Advance.EVERY,
            b_advance=Advance.EVERY,
            c_advance=Advance.ONCE,
            c_held=held,
            c_keep=keep,
            chain=1,
            resume=held,
            p=p,
            tiles_p=-(-p // (config.rows * mapping.ir)) if os else 1,
            q_blocks=self._q(block),
            tiles_q=-(-self._q(block) // mapping.is_),
            groups=-(-pixels // mapping.m) if os else self._slots(block),
            passes=1 if os else self._passes(pixels),
            k=pixels,
            k0_count=nest.x.count,
            k1_count=run.rows,
            products0=block.products,
            **a_steps.of_a(mapping.ir, whole),
            **b_steps.of_b(whole),
            c_p=1,
            c_q=p,
            c_product0=p * self._q(block),
        )

    def _store(self, at: Operands, block: Block) -> Store:
        nest, config = self.nest, self.config
        depth, p, taps = config.block, self._p(block), self._taps(block)
        unit = depth * config.cols * SINGLE
        tap_bytes = nest.outputs // config.cols * unit
        group_bytes = nest.weights.elements * SINGLE
        tap_c = block.q * p if nest.turned else block.ins * depth
        levels = [
            Level(depth, 1, config.cols * SINGLE),
            Level(block.q, p, unit),
            Level(taps, tap_c, tap_bytes),
            Level(block.ins, depth, nest.weights.taps * tap_bytes),
            Level(block.products, p * self._q(block), group_bytes),
        ]
        first_tap = block.first_tap * nest.x.taps
        return Store(
            address=at.out
            + block.product * group_bytes
            + (block.first_in * nest.weights.taps + first_tap) * tap_bytes
            + block.first_q * unit,
            wide=1,
            **store_levels(levels),
        )
