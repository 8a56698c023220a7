"""Which tilings of a product of two activations fit the scratchpads."""

from collections.abc import Iterator
from math import gcd, lcm

from sparsat.dataflow.cuts import CHUNKS, sizes
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.layout import HALF
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Pair
from sparsat.dataflow.pair import PairPlan
from sparsat.hw.isa.site import most_channels


def candidates(halves: Halves, nest: Pair, mapping: Mapping) -> Iterator[PairPlan]:
    """Plans that fit, coarse chunks first."""
    if nest.b_turned and nest.b.pitch > most_channels(nest.b.config):
        return
    c_rows = nest.p * nest.out.pitch // nest.out.config.cols
    most = min(halves.a // nest.a.image_values, halves.b // nest.b_rows, halves.c // c_rows)
    if most:
        for images in sizes(nest.images, most):
            yield PairPlan(nest, mapping, images)
        return
    most, (unit, tile) = _rows_that_fit(halves, nest), _row_steps(nest, mapping)
    if most >= unit:
        for units in sizes(-(-nest.a.width // unit), most // unit, tile // unit, CHUNKS[:6]):
            yield PairPlan(nest, mapping, 1, units * unit)


def _rows_that_fit(halves: Halves, nest: Pair) -> int:
    """Rows of A, with what else their chunk holds; 0 if none do."""
    width = nest.out.pitch // nest.out.config.cols
    rows = halves.a // nest.a.pitch
    if nest.a_turned:
        of_b = nest.b.pitch // nest.b.config.cols
        return min(rows, halves.b // of_b) if nest.p * width <= halves.c else 0
    return min(rows, halves.c // width) if nest.b_rows <= halves.b else 0


def _row_steps(nest: Pair, mapping: Mapping) -> tuple[int, int]:
    """Rows of a chunk that are whole lines of memory, and those that fill whole tiles as well."""
    config = nest.a.config
    cut = (nest.a, nest.b) if nest.a_turned else (nest.a,)
    line = config.line_bytes // HALF
    unit = max(line // gcd(tensor.pitch, line) for tensor in cut)
    if mapping.os == nest.a_turned:
        return unit, unit
    return unit, lcm(unit, config.rows * (mapping.m if nest.a_turned else mapping.ir))
