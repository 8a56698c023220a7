"""Which tilings of WU fit the scratchpads."""

from collections.abc import Iterator

from sparsat.dataflow.cuts import CHUNKS, sizes
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.layout import HALF, padded
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Reduce
from sparsat.dataflow.reduce import ReducePlan
from sparsat.dataflow.reduce_walk import Block


def candidates(halves: Halves, nest: Reduce, mapping: Mapping) -> Iterator[ReducePlan]:
    """Plans that fit, coarse slabs first."""
    blocks = _blocks(halves, nest)
    if len(blocks) > 1 and nest.matrix:
        yield from _cut(halves, nest, mapping)
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


def _cut(halves: Halves, nest: Reduce, mapping: Mapping) -> Iterator[ReducePlan]:
    """Blocks of any shape, slabs of only those channels that a block needs, in whole lines."""
    config = nest.data.config
    line = config.line_bytes // HALF
    rows, columns = padded(nest.inputs, line) // line, padded(nest.outputs, line) // line
    most_lines = halves.c // line * config.cols // line
    for tall in sizes(rows, min(rows, most_lines), cuts=CHUNKS[:6]):
        wide = min(most_lines // tall, columns)
        blocks = tuple(_tall_and_wide(nest, tall * line, wide * line))
        of_a = halves.a // (nest.pixels * tall * line)
        of_b = halves.b * config.cols // (nest.pixels * wide * line)
        if most := min(of_a, of_b):
            for images in sizes(nest.images, most, cuts=CHUNKS[:6]):
                yield ReducePlan(nest, mapping, images, None, blocks, cut=True)


def _tall_and_wide(nest: Reduce, tall: int, wide: int) -> Iterator[Block]:
    """The gradient in blocks of so many rows and columns."""
    block, cols = nest.data.config.block, nest.data.config.cols
    for row in range(0, nest.inputs, tall):
        for column in range(0, nest.outputs, wide):
            ins = min(tall, nest.inputs - row) // block
            q = min(wide, nest.outputs - column) // cols
            yield Block(0, 1, 0, 1, row // block, ins, column // cols, q)


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
