"""The operands of a tiling of FF or BP: loads, and where EXEC finds the words."""

from sparsat.dataflow.layout import HALF, padded
from sparsat.dataflow.nests import Spread
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.tiling import Run, Tiling
from sparsat.hw.array_op import WORD, log_m_of
from sparsat.hw.isa.instructions import LoadA, LoadB, Mode


def load_a(tiling: Tiling, at: Operands, nest: Spread, run: Run, image: int) -> LoadA:
    """A run of slabs; with parts of one `image` where they are by rows."""
    row, image_bytes = nest.a.row_values * HALF, nest.a.image_values * HALF
    start, stride = run.first * image_bytes, run.images * image_bytes
    if run.by_rows:
        start = image * image_bytes + (run.first * nest.y.step + nest.y.first) * row
        stride = run.rows * nest.y.step * row
    address, lines = at.a + start, tiling.a_lines(nest, run)
    if tiling.cut:
        pixels = tiling.pixels(nest, run)
        return LoadA(
            address=address,
            **tiling.loops(nest, run),
            outer_stride=stride,
            inner_stride=tiling.cut * HALF,
            segments=pixels,
            segment_stride=nest.a.pitch * HALF,
            lines=lines // pixels,
        )
    return LoadA(
        address=address,
        outer=nest.images if run.by_rows and tiling.parts == 1 else 1,
        outer_stride=image_bytes,
        inner=run.count,
        inner_stride=stride,
        lines=lines,
    )


def load_b(tiling: Tiling, at: Operands, run: Run, first: int, width: int) -> LoadB:
    """`width` blocks of columns from block `first` on, once, or part by part for every slab."""
    config, nest, mapping = tiling.config, tiling.nest, tiling.mapping
    n, m = tiling.pattern_in_memory
    before = (first + nest.product * tiling.column_blocks) * tiling.b_memory_rows
    loops: dict[str, int] = {}
    rows = tiling.b_part_rows * width * nest.products
    if tiling.parts > 1:
        loops = {"outer": run.count, "inner": tiling.parts, "segments": width}
        rows = tiling.b_part_rows

    def plane(name: str, address: int, row_bytes: int) -> dict[str, int]:
        """Fields of the values (`name` is empty) or of the indices."""
        return {
            f"{name}address": address + before * row_bytes,
            f"{name}inner_stride": tiling.b_part_rows * row_bytes,
            f"{name}segment_stride": tiling.b_memory_rows * row_bytes,
            f"{name}lines": rows * row_bytes // config.line_bytes,
        }

    fields = loops | plane("", at.b, config.cols * HALF)
    if n < m:
        fields |= plane("index_", at.b_index, config.cols // 2)
    if tiling.prune:
        return LoadB(mode=Mode.PRUNE, n=mapping.n, log_m=log_m_of(mapping.m), **fields)
    return LoadB(mode=Mode.COPY, **fields)


def a_fields(tiling: Tiling, nest: Spread, run: Run) -> dict[str, int]:
    """EXEC's counters of A."""
    a, y, x, m = tiling.a(nest), nest.y, nest.x, tiling.mapping.m
    fields = {
        "r0_count": x.count,
        "r1_count": run.rows,
        "r0_a": x.step * a.pitch,
        "r1_a": y.step * a.row_values,
        "r2_a": a.image_values,
        "k": tiling.groups(nest) if y.taps * x.taps else 0,
        "k0_a": m,
    }
    if tiling.cut:
        return fields | {
            "k0_count": WORD // m,
            "k1_count": tiling.cut // WORD,
            "k1_a": WORD,
            "k1_y": 1,
            "y_inner": tiling.cut // WORD,
            "height": padded(nest.channels, WORD) // WORD,
        }
    fields |= {
        "a_base": (y.origin - (y.first if run.by_rows else 0)) * a.row_values
        + x.origin * a.pitch
        + nest.product * nest.channels,
        "a_product0": nest.channels,
        "r0_x": x.step,
        "r1_y": y.step,
        "k0_count": tiling.channel_groups(nest),
        "k1_count": max(x.taps, 1),
        "k1_a": x.tap_step * a.pitch,
        "k1_x": x.tap_step,
        "k2_a": y.tap_step * a.row_values,
        "k2_y": y.tap_step,
        "y0": y.origin + (run.first * y.step if run.by_rows else 0),
        "x0": x.origin,
        "height": a.height,
        "width": a.width,
    }
    if tiling.parts > 1:
        fields |= {"a_inner": y.tap_step * a.row_values, "y_inner": y.tap_step}
    if run.by_rows:
        fields["y_outer" if tiling.parts > 1 else "y_inner"] = run.rows * y.step
    return fields


def b_fields(tiling: Tiling, nest: Spread) -> dict[str, int]:
    """EXEC's counters of B."""
    n, m = tiling.mapping.n, tiling.mapping.m
    fields = {"b_k0": n, "b_n": 1, "b_q0": tiling.b_rows}
    if tiling.cut:
        return fields | {
            "b_k1": WORD // m * n,
            "b_k1_y": 1,
            "b_y_inner": tiling.cut // WORD,
            "b_height": padded(nest.channels, WORD) // WORD,
        }
    tap = padded(nest.channels, tiling.config.block) * n // m
    first = (nest.y.first_tap * nest.kernel_width + nest.x.first_tap) * tap
    return fields | {
        "b_base": first if tiling.parts == 1 else 0,
        "b_product0": tiling.b_rows * tiling.column_blocks,
        "b_k1": nest.x.tap_pitch * tap,
        "b_k2": nest.y.tap_pitch * nest.kernel_width * tap,
    }
