"""Tiling of FF, BP and attention: slabs of pixels of A, blocks of columns of B.

A slab is some whole images, or some rows of pixels of each image. B's columns are loaded in as few
blocks as fit; each block goes over all slabs while it stays in the scratchpad. Where not even one
block of columns fits, its reduction is cut in parts, which go one after another into the same sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from sparsat.dataflow.halves import Halves
from sparsat.dataflow.layout import HALF, padded
from sparsat.dataflow.mapping import Mapping, chained_cycles, os_cycles, ws_cycles
from sparsat.dataflow.nests import Spread
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.runs import Level, store_levels
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.copies import column_rows
from sparsat.hw.isa.instructions import Advance, Exec, Instruction, LoadA, LoadB, Mode, Store
from sparsat.hw.isa.site import most_channels


@dataclass(frozen=True)
class Slabs:
    """`images` whole images per chunk, or `rows` rows of pixels of one; how many such chunks."""

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
class SpreadPlan:
    """One way to run the phases of an operation that share B."""

    phases: tuple[Spread, ...]
    mapping: Mapping
    slabs: Slabs
    width: int
    """Columns of B per block, in blocks of `cols`."""
    parts: int
    """Into how many parts the reduction is cut."""
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

    # -- how long --------------------------------------------------------------------------------

    def array_cycles(self) -> int:
        """Cycles of the array for everything."""
        total = 0
        for width, blocks in self._widths():
            for nest in self.phases:
                per_image = [(run, self._repeats(nest, run)) for run in self._runs(nest)]
                total += blocks * sum(
                    count * self._run_cycles(nest, run, width) for run, count in per_image
                )
        return total

    def _repeats(self, nest: Spread, run: Run) -> int:
        """EXECs with this run: one, unless every image needs its own."""
        return nest.images if run.by_rows and self.parts > 1 else 1

    def _chunks(self, nest: Spread, run: Run) -> int:
        return run.count * (nest.images if run.by_rows and self.parts == 1 else 1)

    def _run_cycles(self, nest: Spread, run: Run, width: int) -> int:
        mapping, config, chunks = self.mapping, self.config, self._chunks(nest, run)
        pixels, products = self._pixels(nest, run), self._products(nest, run)
        groups, tiles_q = self._groups(nest), -(-self._used(nest, width) // mapping.is_)
        least = self._least_period(nest)
        if not mapping.os:
            passes = -(-groups // config.rows)
            slots = -(-pixels // mapping.ir)
            once = ws_cycles(config, mapping, slots, products * tiles_q, passes, least)
            return chunks * self.parts * once
        tiles = products * -(-pixels // (config.rows * mapping.ir)) * tiles_q
        if self.parts == 1:
            return os_cycles(config, mapping, groups, chunks * tiles, False, least)
        first = os_cycles(config, mapping, groups, tiles, False, least)
        rest = chained_cycles(config, mapping, groups, tiles, self.parts - 1, least)
        return chunks * (first + rest)

    def lines(self) -> tuple[int, int, int]:
        """Lines moved in all, before the first chunk can start, and after the last."""
        line = self.config.line_bytes
        total = first = last = 0
        for width, blocks in self._widths():
            b = self._b_lines(width)
            for index, nest in enumerate(self.phases):
                for run in self._runs(nest):
                    chunks = run.count * (nest.images if run.by_rows else 1)
                    a = self._a_lines(nest, run)
                    b_again = b if nest.b or self.parts > 1 else 0
                    stored = self._pixels(nest, run) * self._products(nest, run) * width
                    last = stored * self.config.cols * HALF // line
                    total += blocks * chunks * (a + b_again + last)
                    first = first or a + b
                if not (nest.b or self.parts > 1) and index == 0:
                    total += blocks * b
        return total, first, last

    def _b_lines(self, width: int) -> int:
        nest, mapping = self.nest, self.mapping
        if nest.b:
            return nest.b.lines(nest.b.image_values) * self._images_at_once
        assert nest.weights is not None
        n, m = (mapping.m, mapping.m) if self.prune else (mapping.n, mapping.m)
        reduced = nest.weights.taps * self._b_channels(nest)
        values = column_rows(self.config, reduced, n, m) * width * nest.products * self.config.cols
        return values * (4 if n == m else 5) // (2 * self.config.line_bytes)

    @property
    def _images_at_once(self) -> int:
        return self.slabs.images

    # -- the parts of an operation ---------------------------------------------------------------

    def _widths(self) -> Iterator[tuple[int, int]]:
        """Widths of column blocks, and how many blocks of that width there are."""
        whole, rest = divmod(self.column_blocks, self.width)
        if whole:
            yield self.width, whole
        if rest:
            yield rest, 1

    def _runs(self, nest: Spread) -> list[Run]:
        by_rows = self.slabs.rows is not None
        total = nest.y.count if by_rows else nest.images
        each = min(self.slabs.rows or self.slabs.images, total)
        whole, rest = divmod(total, each)
        sizes = [(each, 0, whole)] + ([(rest, whole * each, 1)] if rest else [])
        return [
            Run(1 if by_rows else size, size if by_rows else nest.y.count, first, count, by_rows)
            for size, first, count in sizes
        ]

    def _pixels(self, nest: Spread, run: Run) -> int:
        """Rows of C of one product in a chunk."""
        images = 1 if nest.b else run.images
        return images * run.rows * nest.x.count

    def _products(self, nest: Spread, run: Run) -> int:
        return nest.products * (run.images if nest.b else 1)

    def _groups(self, nest: Spread) -> int:
        """k-groups of a part."""
        channels = -(-nest.channels // self.mapping.m)
        return max(nest.y.taps * nest.x.taps * channels // self.parts, 1)

    def _used(self, nest: Spread, width: int) -> int:
        """Column blocks that are computed: with weights all of them, since those beyond the last
        column are the zeros that later operations expect in padded channels."""
        return width if nest.weights else min(width, -(-nest.columns // self.config.cols))

    def _channel_groups(self, nest: Spread) -> int:
        """k-groups of a tap in a part."""
        groups = -(-nest.channels // self.mapping.m)
        return groups if self._part_is_tap(nest) else groups // self.parts

    def _least_period(self, nest: Spread) -> int:
        if nest.a_words_of_rows:
            return 0
        return self.mapping.least_period(self._channel_groups(nest))

    def _b_channels(self, nest: Spread) -> int:
        """Reduced channels of the weights, whole blocks."""
        return padded(nest.channels, self.config.block)

    def _a_rows(self, nest: Spread, run: Run) -> int:
        """Image rows of A that a chunk by rows needs."""
        return (run.rows - 1) * nest.y.step + nest.y.reach

    def _a_lines(self, nest: Spread, run: Run) -> int:
        if run.by_rows:
            return nest.a.lines(nest.a.row_values) * self._a_rows(nest, run)
        planes = nest.products if nest.scores_in_a else 1
        return nest.a.lines(nest.a.image_values) * planes * run.images

    # -- instructions ----------------------------------------------------------------------------

    def emit(self, at: Operands) -> list[Instruction]:
        """All of them, without op numbers, waits and signals."""
        found: list[Instruction] = []
        for first in range(0, self.column_blocks, self.width):
            width = min(self.width, self.column_blocks - first)
            found += self._block(at, first, width)
        return found

    def _block(self, at: Operands, first: int, width: int) -> list[Instruction]:
        jobs = [
            (nest, run, image)
            for nest in self.phases
            for run in self._runs(nest)
            for image in range(self._repeats(nest, run))
        ]
        found: list[Instruction] = []
        shared = not self.nest.b and self.parts == 1
        for index, (nest, run, image) in enumerate(jobs):
            found.append(self._load_a(at, nest, run, image))
            if not shared or index == 0:
                found.append(self._load_b(at, nest, run, first, width))
            held = {"b_held": int(index > 0), "b_keep": int(index + 1 < len(jobs))}
            found.append(self._exec(nest, run, width, held if shared else {}))
            found.append(self._store(at, nest, run, image, first, width))
        return found

    def _loops(self, nest: Spread, run: Run) -> dict[str, int]:
        """Chunk loops: images, then rows or runs of images; with parts, chunks, then parts."""
        if self.parts > 1:
            return {"outer": run.count, "inner": self.parts}
        return {"outer": nest.images if run.by_rows else 1, "inner": run.count}

    def _load_a(self, at: Operands, nest: Spread, run: Run, image: int) -> LoadA:
        a, row_bytes = nest.a, nest.a.row_values * HALF
        image_bytes = a.image_values * HALF * (nest.products if nest.scores_in_a else 1)
        if run.by_rows:
            start = image * image_bytes + (run.first * nest.y.step + nest.y.first) * row_bytes
            outer_stride, stride = image_bytes, run.rows * nest.y.step * row_bytes
        else:
            start = run.first * image_bytes
            outer_stride, stride = 0, run.images * image_bytes
        loops = {"outer": nest.images if run.by_rows and self.parts == 1 else 1, "inner": run.count}
        return LoadA(
            address=at.a + start,
            **loops,
            outer_stride=outer_stride,
            inner_stride=stride,
            lines=self._a_lines(nest, run),
        )

    def _load_b(self, at: Operands, nest: Spread, run: Run, first: int, width: int) -> LoadB:
        if nest.b:
            return self._load_activation(at, nest, run)
        assert nest.weights is not None
        mapping, config, line = self.mapping, self.config, self.config.line_bytes
        n, m = (mapping.m, mapping.m) if self.prune else (mapping.n, mapping.m)
        rows = column_rows(config, nest.weights.taps * self._b_channels(nest), n, m)
        value, index = rows * config.cols * HALF, rows * config.cols // 2
        indexed = n < m
        first += nest.product * self.column_blocks
        fields: dict[str, int] = {"mode": Mode.COPY}
        if self.prune:
            fields = {"mode": Mode.PRUNE, "n": mapping.n, "log_m": log_m_of(mapping.m)}
        if self.parts > 1:
            part = {"inner": self.parts, "segments": width}
            return LoadB(
                address=at.b + first * value,
                outer=self._loops(nest, run)["outer"],
                inner_stride=value // self.parts,
                segment_stride=value,
                lines=value // self.parts // line,
                index_address=at.b_index + first * index if indexed else 0,
                index_inner_stride=index // self.parts if indexed else 0,
                index_segment_stride=index if indexed else 0,
                index_lines=index // self.parts // line if indexed else 0,
                **part,
                **fields,
            )
        blocks = width * nest.products
        return LoadB(
            address=at.b + first * value,
            lines=blocks * value // line,
            index_address=at.b_index + first * index if indexed else 0,
            index_lines=blocks * index // line if indexed else 0,
            **fields,
        )

    def _load_activation(self, at: Operands, nest: Spread, run: Run) -> LoadB:
        b = nest.b
        assert b is not None
        image = b.image_values * HALF
        turned: dict[str, int] = {}
        if nest.b_turned:
            turned = {"mode": Mode.TRANSPOSE, "tokens": b.height, "channels": b.row_values}
        per_segment = run.images if not nest.b_turned else 1
        return LoadB(
            address=at.b + run.first * image,
            inner=run.count,
            inner_stride=run.images * image,
            segments=run.images // per_segment,
            segment_stride=image,
            lines=b.lines(b.image_values) * per_segment,
            **turned,
        )

    def _exec(self, nest: Spread, run: Run, width: int, held: dict[str, int]) -> Exec:
        mapping, config = self.mapping, self.config
        pixels, groups = self._pixels(nest, run), self._groups(nest)
        os = mapping.os
        chunked = self.parts > 1
        return Exec(
            ws=int(not os),
            a_mn=mapping.a_order.value,
            b_mn=mapping.b_order.value,
            n=mapping.n,
            log_m=log_m_of(mapping.m),
            ir=mapping.ir,
            is_=mapping.is_,
            least_period=self._least_period(nest),
            a_shared=int(self._least_period(nest) == 0),
            **self._loops(nest, run),
            a_advance=Advance.OUTER if chunked else Advance.EVERY,
            b_advance=Advance.EVERY if chunked or nest.b else Advance.ONCE,
            c_advance=Advance.OUTER if chunked else Advance.EVERY,
            chain=int(chunked),
            **held,
            p=pixels,
            tiles_p=-(-pixels // (config.rows * mapping.ir)) if os else 1,
            q_blocks=self._used(nest, width),
            q0_count=self._used(nest, width),
            tiles_q=-(-self._used(nest, width) // mapping.is_),
            groups=groups if os else -(-pixels // mapping.ir),
            passes=1 if os else -(-groups // config.rows),
            products0=nest.products,
            products1=run.images if nest.b else 1,
            **self._a_fields(nest, run),
            **self._b_fields(nest),
            **self._c_fields(nest, run, width),
        )

    def _a_fields(self, nest: Spread, run: Run) -> dict[str, int]:
        a, m, y, x = nest.a, self.mapping.m, nest.y, nest.x
        if nest.a_words_of_rows:
            return {
                "a_product0": a.image_values,
                "a_product1": a.image_values * nest.products,
                "r0_count": a.pitch // self.mapping.ir,
                "r0_a": self.mapping.ir,
                "k": nest.channels,
                "k0_count": nest.channels,
                "k0_a": a.row_values,
            }
        by_rows = run.by_rows
        y_first = y.first if by_rows else 0
        fields = {
            "a_base": (y.origin - y_first) * a.row_values
            + x.origin * a.pitch
            + nest.product * nest.channels,
            "r0_count": x.count,
            "r1_count": run.rows,
            "r0_a": x.step * a.pitch,
            "r1_a": y.step * a.row_values,
            "r2_a": a.image_values,
            "r0_x": x.step,
            "r1_y": y.step,
            "k": self._groups(nest) if y.taps * x.taps else 0,
            "k0_count": self._channel_groups(nest),
            "k1_count": max(x.taps, 1),
            "k0_a": m,
            "k1_a": x.tap_step * a.pitch,
            "k1_x": x.tap_step,
            "k2_a": y.tap_step * a.row_values,
            "k2_y": y.tap_step,
            "y0": y.origin + run.first * y.step if by_rows else y.origin,
            "x0": x.origin,
            "height": a.height,
            "width": a.width,
        }
        if nest.products > 1 or nest.b:
            planes = nest.scores_in_a
            per_head = padded(nest.channels, self.config.block)
            fields["a_product0"] = a.image_values if planes else per_head
            fields["a_product1"] = a.image_values * (nest.products if planes else 1)
        if self.parts > 1:
            fields |= self._part_steps(nest)
        if by_rows:
            fields["y_outer" if self.parts > 1 else "y_inner"] = run.rows * y.step
        return fields

    def _part_is_tap(self, nest: Spread) -> bool:
        """Parts of the reduction are rows of taps (else ranges of channels)."""
        return self.parts == 1 or nest.y.taps > 1

    def _part_steps(self, nest: Spread) -> dict[str, int]:
        if self._part_is_tap(nest):
            return {"a_inner": nest.y.tap_step * nest.a.row_values, "y_inner": nest.y.tap_step}
        return {"a_inner": -(-nest.channels // self.mapping.m) // self.parts * self.mapping.m}

    def _b_fields(self, nest: Spread) -> dict[str, int]:
        mapping, cols = self.mapping, self.config.cols
        if nest.b is None:
            assert nest.weights is not None
            tap = self._b_channels(nest) * mapping.n // mapping.m
            whole = _column_rows(nest, mapping, self.prune)
            first = (nest.y.first_tap * nest.kernel_width + nest.x.first_tap) * tap
            return {
                "b_base": first if self.parts == 1 else 0,
                "b_product0": whole * self.column_blocks,
                "b_k0": mapping.n,
                "b_k1": nest.x.tap_pitch * tap,
                "b_k2": nest.y.tap_pitch * nest.kernel_width * tap,
                "b_n": 1,
                "b_q0": whole // self.parts,
            }
        b = nest.b
        if nest.b_turned:
            tokens = -(-b.height // cols)
            return {
                "b_last": nest.channels % mapping.m,
                "b_product0": padded(nest.channels, self.config.block),
                "b_product1": tokens * b.row_values,
                "b_k0": mapping.m,
                "b_n": 1,
                "b_q0": b.row_values,
            }
        row = b.row_values // cols
        by_value = nest.a_words_of_rows
        return {
            "b_last": 0 if by_value else nest.channels % mapping.m,
            "b_product0": padded(nest.columns, self.config.block) // cols,
            "b_product1": b.image_values // cols,
            "b_k0": row if by_value else mapping.m * row,
            "b_n": 0 if by_value else row,
            "b_q0": 1,
        }

    def _c_fields(self, nest: Spread, run: Run, width: int) -> dict[str, int]:
        """Heads as planes: [image, head, pixel, column]; else [(image), pixel, head, column]."""
        pixels = self._pixels(nest, run)
        if nest.planes:
            plane = pixels * width
            return {
                "c_p": width,
                "c_q": 1,
                "c_product0": plane,
                "c_product1": plane * nest.products,
            }
        pitch = nest.products * width
        return {"c_p": pitch, "c_q": 1, "c_product0": width, "c_product1": pitch * pixels}

    def _store(
        self, at: Operands, nest: Spread, run: Run, image: int, first: int, width: int
    ) -> Store:
        out, y, x = nest.out, nest.y, nest.x
        row_bytes, pixel = out.row_values * HALF, out.pitch * HALF
        image_bytes = out.image_values * HALF
        base = at.out + first * self.config.cols * HALF
        base += y.phase * row_bytes + x.phase * pixel + nest.product * nest.columns * HALF
        pitch = width * (1 if nest.planes else nest.products)
        planes = nest.products if nest.planes else 1
        step = y.out_step * row_bytes
        levels = [
            Level(pitch, 1, self.config.cols * HALF),
            Level(x.count, pitch, x.out_step * pixel),
            Level(run.rows, x.count * pitch, step),
            Level(run.images * planes, run.rows * x.count * pitch, image_bytes),
        ]
        if run.by_rows:
            base += image * image_bytes + run.first * step
            outer_stride, inner_stride = image_bytes, run.rows * step
        else:
            base += run.first * planes * image_bytes
            outer_stride, inner_stride = 0, run.images * planes * image_bytes
        inner = run.count
        outer = nest.images if run.by_rows and self.parts == 1 else 1
        return Store(
            address=base,
            outer=outer,
            outer_stride=outer_stride,
            inner=inner,
            inner_stride=inner_stride,
            **store_levels(levels),
        )


@dataclass(frozen=True)
class Repeated:
    """The plans of groups whose weights do not fit the scratchpad together, one after another."""

    plans: tuple["SpreadPlan | Repeated", ...]

    @property
    def nest(self) -> Spread:
        """Of all groups."""
        return replace(self.plans[0].nest, products=len(self.plans))

    @property
    def mapping(self) -> Mapping:
        return self.plans[0].mapping

    @property
    def prune(self) -> bool:
        return self.plans[0].prune

    def array_cycles(self) -> int:
        return sum(plan.array_cycles() for plan in self.plans)

    def lines(self) -> tuple[int, int, int]:
        moved = [plan.lines() for plan in self.plans]
        return sum(total for total, _, _ in moved), moved[0][1], moved[-1][2]

    def emit(self, at: Operands) -> list[Instruction]:
        return [each for plan in self.plans for each in plan.emit(at)]


def candidates(
    halves: Halves, phases: tuple[Spread, ...], mapping: Mapping, prune: bool
) -> Iterator[SpreadPlan]:
    """Plans that fit, coarse slabs first."""
    fit = _widest(halves, phases[0], mapping, prune)
    if fit is None and phases[0].weights:  # padding of channels makes for equal parts
        block = phases[0].a.config.block
        phases = tuple(replace(nest, channels=padded(nest.channels, block)) for nest in phases)
        fit = _widest(halves, phases[0], mapping, prune)
    if fit is None:
        return
    width, parts = fit
    seen: set[Slabs] = set()
    for slabs in _slabs(halves, phases, mapping, width):
        if slabs not in seen:
            seen.add(slabs)
            yield SpreadPlan(phases, mapping, slabs, width, parts, prune)


def _widest(halves: Halves, nest: Spread, mapping: Mapping, prune: bool) -> tuple[int, int] | None:
    """Column blocks of B that fit in a half, and parts of the reduction where one does not."""
    config = nest.a.config
    blocks = padded(nest.columns, config.block) // config.cols
    if nest.b:
        return blocks, 1
    assert nest.weights is not None
    rows = _column_rows(nest, mapping, prune)
    if rows * blocks * nest.products <= halves.b:
        return blocks, 1
    if nest.products > 1:
        return None
    width = halves.b // rows
    return (width, 1) if width else _parts(halves, nest, mapping)


def _column_rows(nest: Spread, mapping: Mapping, prune: bool) -> int:
    """Rows of a block of columns in the scratchpad."""
    assert nest.weights is not None
    reduced = nest.weights.taps * padded(nest.channels, nest.a.config.block)
    if prune:
        return reduced * mapping.n // mapping.m
    return column_rows(nest.a.config, reduced, mapping.n, mapping.m)


def _parts(halves: Halves, nest: Spread, mapping: Mapping) -> tuple[int, int] | None:
    """Fewest equal parts of the reduction, whole lines: its rows of taps, or ranges of channels."""
    config, groups = nest.a.config, -(-nest.channels // mapping.m)
    if nest.y.taps > 1:
        options = [nest.y.taps] if nest.y.tap_pitch == 1 else []
    else:
        single = nest.x.taps == 1
        options = [p for p in range(2, groups + 1) if groups % p == 0] if single else []
    assert nest.weights is not None
    reduced = nest.weights.taps * padded(nest.channels, config.block)
    for parts in options:
        rows = reduced // parts * mapping.n // mapping.m
        whole = rows == column_rows(config, reduced // parts, mapping.n, mapping.m)
        if rows <= halves.b and reduced % parts == 0 and whole and nest.channels % mapping.m == 0:
            return 1, parts
    return None


CHUNKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Into how many chunks a GEMM is cut at least: candidates."""


def _slabs(
    halves: Halves, phases: tuple[Spread, ...], mapping: Mapping, width: int
) -> Iterator[Slabs]:
    most = min(_images_that_fit(halves, nest, mapping, width) for nest in phases)
    images = phases[0].images
    if most:
        for chunks in CHUNKS:
            yield Slabs(min(most, -(-images // chunks)))
        return
    if phases[0].b:
        return
    rows = min(_rows_that_fit(halves, nest, width) for nest in phases)
    if rows < 1:
        return
    height = max(nest.y.count for nest in phases)
    for chunks in CHUNKS[:6]:
        yield Slabs(1, min(rows, -(-height // chunks)))


def _images_that_fit(halves: Halves, nest: Spread, mapping: Mapping, width: int) -> int:
    planes = nest.products if nest.scores_in_a else 1
    limits = [halves.a // (nest.a.image_values * planes)]
    out = nest.pixels * nest.products * width
    limits.append(halves.c // out)
    if nest.b:
        limits.append(halves.b // _b_rows_of_image(nest))
        if nest.b_turned and nest.b.row_values > most_channels(nest.b.config):
            return 0
    return min(limits)


def _b_rows_of_image(nest: Spread) -> int:
    b = nest.b
    assert b is not None
    if nest.b_turned:
        return -(-b.height // b.config.cols) * b.row_values
    return b.image_values // b.config.cols


def _rows_that_fit(halves: Halves, nest: Spread, width: int) -> int:
    a_rows = halves.a // nest.a.row_values
    by_a = (a_rows - nest.y.reach) // nest.y.step + 1
    return min(by_a, halves.c // (nest.x.count * nest.products * width))
