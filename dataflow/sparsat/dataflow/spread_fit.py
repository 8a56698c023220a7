"""Which tilings of FF and BP fit the scratchpads."""

from collections.abc import Iterator
from dataclasses import replace
from math import gcd, lcm

from sparsat.dataflow.cuts import CHUNKS, sizes
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.layout import HALF, padded
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Spread
from sparsat.dataflow.spread import SpreadPlan
from sparsat.dataflow.tiling import Slabs

Phases = tuple[Spread, ...]


def candidates(
    halves: Halves, phases: Phases, mapping: Mapping, prune: bool
) -> Iterator[SpreadPlan]:
    """Plans that fit, coarse ones first."""
    one = SpreadPlan(phases, mapping, Slabs(1), 1, 1, prune=prune)
    most = halves.b // (one.b_rows * one.nest.products)
    if most >= one.column_blocks:
        yield from _slabs(halves, replace(one, width=one.column_blocks))
        return
    if one.nest.products > 1:
        return
    if most:
        yield from _slabs(halves, replace(one, width=most))
    if len(phases) == 1 and one.nest.matrix:
        yield from _cut(halves, one)
    elif not most:
        yield from _taps(halves, one)


def _slabs(halves: Halves, plan: SpreadPlan) -> Iterator[SpreadPlan]:
    """The plan with all slabs that fit: of images, or of rows if not even one image does."""
    phases = plan.phases
    most = min(_images_that_fit(halves, nest, plan.width) for nest in phases)
    if most:
        for images in sizes(phases[0].images, most, _images_of_tiles(plan)):
            yield replace(plan, slabs=Slabs(images))
        return
    most = min(_rows_that_fit(halves, nest, plan.width) for nest in phases)
    if most > 0:
        for rows in sizes(max(nest.y.count for nest in phases), most, cuts=CHUNKS[:6]):
            yield replace(plan, slabs=Slabs(1, rows))


def _images_of_tiles(plan: SpreadPlan) -> int:
    """Images whose pixels fill whole tiles."""
    tile = plan.config.rows * plan.mapping.ir if plan.mapping.os else plan.mapping.ir
    return tile // gcd(tile, plan.nest.pixels)


def _images_that_fit(halves: Halves, nest: Spread, width: int) -> int:
    out = nest.pixels * nest.products * width
    return min(halves.a // nest.a.image_values, halves.c // out)


def _rows_that_fit(halves: Halves, nest: Spread, width: int) -> int:
    a_rows = halves.a // nest.a.row_values
    by_a = (a_rows - nest.y.reach) // nest.y.step + 1
    return min(by_a, halves.c // (nest.x.count * nest.products * width))


def _taps(halves: Halves, one: SpreadPlan) -> Iterator[SpreadPlan]:
    """Parts that are rows of taps, as many columns as fit."""
    nest, mapping = one.nest, one.mapping
    plan = replace(one, parts=nest.y.taps)
    rows = nest.x.taps * padded(nest.channels, one.config.block) * mapping.n // mapping.m
    equal = nest.y.tap_pitch == 1 and plan.b_rows == rows and _whole_lines(plan)
    if nest.y.taps > 1 and equal and plan.b_rows <= halves.b:
        yield from _slabs(halves, replace(plan, width=halves.b // plan.b_rows))


def _whole_lines(plan: SpreadPlan) -> bool:
    """Whether every part of B begins at a line, in the plane of the values and of the indices."""
    n, m = plan.pattern_in_memory
    row_bytes = plan.config.cols * HALF if n == m else plan.config.cols // 2
    return plan.b_part_rows * row_bytes % plan.config.line_bytes == 0


def _cut(halves: Halves, one: SpreadPlan) -> Iterator[SpreadPlan]:
    """Parts that are channels of a matrix: slabs of images and blocks of columns as large as the
    sums may be, and with them as many channels as fit."""
    nest, (n, m) = one.nest, one.pattern_in_memory
    line = one.config.line_bytes
    row_bytes = one.config.cols * HALF if n == m else one.config.cols // 2
    unit = lcm(line // HALF, line // row_bytes * m, 16)
    channels = padded(nest.channels, one.config.block)
    for width in sizes(one.column_blocks, one.column_blocks):
        fit = halves.c // (width * nest.pixels)
        for images in sizes(nest.images, fit, _images_of_tiles(one), CHUNKS[:6]) if fit else ():
            of_a = halves.a // (images * nest.pixels)
            of_b = halves.b // width * one.mapping.m // one.mapping.n
            most = min(of_a, of_b) // unit
            if most:
                parts = -(-channels // (most * unit))
                cut = padded(-(-channels // parts), unit)
                plan = replace(one, slabs=Slabs(images), width=width, cut=cut)
                yield replace(plan, parts=-(-channels // cut))
