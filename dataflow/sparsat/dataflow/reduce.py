"""Tiling of WU: the gradient's rows and columns in blocks that fit C, pixels in slabs.

Each block of the gradient goes over all slabs of pixels and then to memory, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from sparsat.dataflow.cuts import sizes
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.layout import HALF, SINGLE, Activation
from sparsat.dataflow.mapping import Mapping, chained_cycles, os_cycles, ws_cycles
from sparsat.dataflow.nests import Reduce
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.runs import Level, store_levels
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec, Instruction, LoadA, LoadB, Store


@dataclass(frozen=True)
class Block:
    """A part of the gradient: some rows of taps, blocks of input channels, blocks of columns."""

    product: int
    products: int
    first_tap: int
    taps: int
    first_in: int
    ins: int
    first_q: int
    q: int


@dataclass(frozen=True)
class Run:
    """`count` chunks of `images` images from image `first`, or of `rows` rows of every image."""

    images: int
    rows: int
    first: int
    count: int


@dataclass(frozen=True)
class ReducePlan:
    """One way to run it: `images` whole images per slab, or `rows` rows of one (a divisor)."""

    nest: Reduce
    mapping: Mapping
    images: int
    rows: int | None
    blocks: tuple[Block, ...]

    @cached_property
    def config(self) -> SATConfig:
        return self.nest.a.config

    # -- how long --------------------------------------------------------------------------------

    def array_cycles(self) -> int:
        """Cycles of the array for everything."""
        return sum(self._block_cycles(block) for block in self.blocks)

    def _block_cycles(self, block: Block) -> int:
        config, mapping, total = self.config, self.mapping, 0
        for index, run in enumerate(self._runs()):
            pixels, chunks = self._pixels(run), self._chunks(run)
            if mapping.os:
                groups, tiles = -(-pixels // mapping.m), self._tiles(block)
                fresh = int(index == 0)
                total += fresh * os_cycles(config, mapping, groups, tiles, False)
                total += chained_cycles(config, mapping, groups, tiles, chunks - fresh)
            else:
                passes, slots, sets = self._passes(pixels), self._slots(block), self._sets(block)
                total += chunks * ws_cycles(config, mapping, slots, sets, passes)
        return total

    def _tiles(self, block: Block) -> int:
        p = self._p(block)
        tiles_p = -(-p // (self.config.rows * self.mapping.ir))
        return block.products * tiles_p * -(-self._q(block) // self.mapping.is_)

    def _passes(self, pixels: int) -> int:
        return -(-pixels // (self.mapping.m * self.config.rows))

    def _slots(self, block: Block) -> int:
        return -(-self._p(block) // self.mapping.ir)

    def _sets(self, block: Block) -> int:
        return block.products * -(-self._q(block) // self.mapping.is_)

    def lines(self) -> tuple[int, int, int]:
        """Lines moved in all, before the first chunk can start, and after the last."""
        per_block = sum(
            self._chunks(run) * (self._a_lines(run) + self._b_lines(run)) for run in self._runs()
        )
        stored = [
            self._p(block)
            * self._q(block)
            * block.products
            * self.config.cols
            * SINGLE
            // self.config.line_bytes
            for block in self.blocks
        ]
        first = self._runs()[0]
        total = per_block * len(self.blocks) + sum(stored)
        return total, self._a_lines(first) + self._b_lines(first), stored[-1]

    # -- parts -----------------------------------------------------------------------------------

    def _runs(self) -> list[Run]:
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

    def _lines_of(self, run: Run, tensor: Activation, *, data: bool) -> int:
        if self.rows is None:
            return tensor.lines(tensor.image_values) * run.images
        y = self.nest.y
        rows = (run.rows - 1) * y.step + y.reach if data else run.rows
        return tensor.lines(tensor.row_values) * rows

    def _a_lines(self, run: Run) -> int:
        return self._lines_of(run, self.nest.a, data=not self.nest.turned)

    def _b_lines(self, run: Run) -> int:
        return self._lines_of(run, self.nest.b, data=self.nest.turned)

    # -- instructions ----------------------------------------------------------------------------

    def emit(self, at: Operands) -> list[Instruction]:
        """All of them, without op numbers, waits and signals; X is at `at.a`, dY at `at.b`."""
        if self.nest.turned:
            at = replace(at, a=at.b, b=at.a)
        return [instruction for block in self.blocks for instruction in self._block(at, block)]

    def _block(self, at: Operands, block: Block) -> list[Instruction]:
        runs = self._runs()
        found: list[Instruction] = []
        for index, run in enumerate(runs):
            held, keep = int(index > 0), int(index + 1 < len(runs))
            found += [self._load_a(at, run), self._load_b(at, run)]
            found.append(self._exec(block, run, held, keep))
        found.append(self._store(at, block))
        return found

    def _loops(self, run: Run) -> dict[str, int]:
        return {"outer": self.nest.images if self.rows is not None else 1, "inner": run.count}

    def _load_a(self, at: Operands, run: Run) -> LoadA:
        return LoadA(**self._load(at.a, self.nest.a, run, data=not self.nest.turned))

    def _load_b(self, at: Operands, run: Run) -> LoadB:
        return LoadB(**self._load(at.b, self.nest.b, run, data=self.nest.turned))

    def _load(self, address: int, tensor: Activation, run: Run, *, data: bool) -> dict[str, int]:
        y = self.nest.y
        row, image = tensor.row_values * HALF, tensor.image_values * HALF
        if self.rows is None:
            start, stride = run.first * image, run.images * image
        else:
            start = y.first * row if data else 0
            stride = run.rows * (y.step if data else 1) * row
        return {
            "address": address + start,
            **self._loops(run),
            "outer_stride": image,
            "inner_stride": stride,
            "lines": self._lines_of(run, tensor, data=data),
        }

    def _exec(self, block: Block, run: Run, held: int, keep: int) -> Exec:
        nest, mapping, config = self.nest, self.mapping, self.config
        pixels, p, os = self._pixels(run), self._p(block), mapping.os
        a_steps = Pixels.of(self, block, run, nest.a, data=not nest.turned)
        b_steps = Pixels.of(self, block, run, nest.b, data=nest.turned)
        return Exec(
            ws=int(not os),
            a_mn=1,
            b_mn=mapping.b_order.value,
            n=mapping.n,
            log_m=log_m_of(mapping.m),
            ir=mapping.ir,
            is_=mapping.is_,
            a_shared=1,
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
            **a_steps.of_a(mapping.ir, block),
            **b_steps.of_b(block),
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


@dataclass(frozen=True)
class Pixels:
    """How an operand is walked: the pixel of a tensor for each reduced pixel and each tap.

    Only X (`data`) is shifted by taps and leaves its image; dY is read pixel by pixel.
    """

    plan: ReducePlan
    tensor: Activation
    base: int
    y0: int
    y_inner: int
    data: bool

    @classmethod
    def of(
        cls, plan: ReducePlan, block: Block, run: Run, tensor: Activation, *, data: bool
    ) -> "Pixels":
        y, x = plan.nest.y, plan.nest.x
        if not data:
            return cls(plan, tensor, 0, 0, 0, data)
        by_rows = plan.rows is not None
        origin = y.origin + block.first_tap * y.tap_step
        base = (origin - (y.first if by_rows else 0)) * tensor.row_values + x.origin * tensor.pitch
        return cls(plan, tensor, base, origin, run.rows * y.step if by_rows else 0, data)

    @property
    def steps(self) -> tuple[int, int]:
        """Pixels along y and x from one reduced pixel to the next."""
        return (self.plan.nest.y.step, self.plan.nest.x.step) if self.data else (1, 1)

    def of_a(self, ir: int, block: Block) -> dict[str, int]:
        nest, tensor, config = self.plan.nest, self.tensor, self.plan.config
        fields = {
            "a_base": self.base + block.first_in * config.block + block.product * nest.inputs,
            "a_product0": nest.inputs,
            "r0_count": block.ins * config.block // ir,
            "r0_a": ir,
            "k0_a": self.steps[1] * tensor.pitch,
            "k1_a": self.steps[0] * tensor.row_values,
            "k2_a": tensor.image_values,
        }
        if not self.data:
            return fields
        y, x = nest.y, nest.x
        return fields | {
            "r1_count": x.taps,
            "r1_a": x.tap_step * tensor.pitch,
            "r2_a": y.tap_step * tensor.row_values,
            "r1_x": x.tap_step,
            "r2_y": y.tap_step,
            "k0_x": x.step,
            "k1_y": y.step,
            "y0": self.y0,
            "x0": x.origin,
            "y_inner": self.y_inner,
            "height": tensor.height,
            "width": tensor.width,
        }

    def of_b(self, block: Block) -> dict[str, int]:
        nest, tensor, cols = self.plan.nest, self.tensor, self.plan.config.cols
        per_product = nest.outputs // cols
        fields = {
            "b_base": self.base // cols + block.product * per_product + block.first_q,
            "b_product0": per_product,
            "b_k0": self.steps[1] * tensor.pitch // cols,
            "b_k1": self.steps[0] * tensor.row_values // cols,
            "b_k2": tensor.image_values // cols,
            "q0_count": block.q,
            "b_q0": 1,
        }
        if not self.data:
            return fields
        y, x = nest.y, nest.x
        return fields | {
            "q1_count": x.taps,
            "b_q1": x.tap_step * tensor.pitch // cols,
            "b_q2": y.tap_step * tensor.row_values // cols,
            "b_k0_x": x.step,
            "b_k1_y": y.step,
            "b_q1_x": x.tap_step,
            "b_q2_y": y.tap_step,
            "b_y0": self.y0,
            "b_x0": x.origin,
            "b_y_inner": self.y_inner,
            "b_height": tensor.height,
            "b_width": tensor.width,
        }


def candidates(halves: Halves, nest: Reduce, mapping: Mapping) -> Iterator[ReducePlan]:
    """Plans that fit, coarse slabs first."""
    blocks = _blocks(halves, nest)
    most = min(
        halves.a // nest.a.image_values, halves.b * nest.b.config.cols // nest.b.image_values
    )
    if most:
        for images in sizes(nest.images, most):
            yield ReducePlan(nest, mapping, images, None, blocks)
        return
    rows = _rows_that_fit(halves, nest)
    divisors = [r for r in range(min(rows, nest.y.count), 0, -1) if nest.y.count % r == 0]
    for each in divisors[:4]:
        yield ReducePlan(nest, mapping, 1, each, blocks)


def _rows_that_fit(halves: Halves, nest: Reduce) -> int:
    """Rows of pixels of dY for which it and what X they need fit."""
    a_rows = halves.a // nest.a.row_values
    b_rows = halves.b * nest.b.config.cols // nest.b.row_values
    data, gradient = (b_rows, a_rows) if nest.turned else (a_rows, b_rows)
    return min(gradient, (data - nest.y.reach) // nest.y.step + 1)


def _blocks(halves: Halves, nest: Reduce) -> tuple[Block, ...]:
    """The gradient in blocks that fit a half of C: whole if possible, else by blocks of rows, then
    by rows of taps, then by columns."""
    config, y, x = nest.data.config, nest.y, nest.x
    ins, columns = nest.inputs // config.block, nest.outputs // config.cols
    unit = config.block * x.taps
    whole = y.taps * unit * columns
    together = nest.products if ins == 1 and whole * nest.products <= halves.c else 1
    taps = y.taps if whole <= halves.c else 1
    q = min(columns, halves.c // (taps * unit))
    if q < 1:
        raise ValueError(f"a half of C holds {halves.c} rows, a row of taps takes {unit}")
    most_ins = max(halves.c // (taps * unit * q), 1) if q == columns else 1
    return tuple(
        Block(product, together, tap, taps, first_in, count, first_q, min(q, columns - first_q))
        for product in range(0, nest.products, together)
        for first_in, count in _even(ins, -(-ins // most_ins))
        for tap in range(0, y.taps, taps)
        for first_q in range(0, columns, q)
    )


def _even(total: int, parts: int) -> list[tuple[int, int]]:
    """(first, count) of nearly equal parts."""
    small, more = divmod(total, parts)
    counts = [small + 1] * more + [small] * (parts - more)
    return [(sum(counts[:i]), count) for i, count in enumerate(counts)]
