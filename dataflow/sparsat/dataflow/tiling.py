"""Cutting a GEMM into pieces that fit the scratchpads, each half of which is in use at a time.

`Piece`s come in the order in which they run. A piece's operands are loaded where they differ from
the previous piece's. At most two pieces are in flight, one in each half.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sparsat.dataflow.products import HALF, SINGLE, Gemm
from sparsat.hw.config import GROUP_SIZES, SATConfig


@dataclass(frozen=True)
class Piece:
    """One execution: `products` of `shape` (p, q, k), and the bytes that move for it.

    `load_a`, `load_b` are 0 where the operand is already there; `store` is 0 where the sums stay
    for the next piece, which then resumes them. `hold_a`, `hold_b`, `hold_c` are what it keeps in
    its half of each scratchpad.
    """

    shape: tuple[int, int, int]
    products: int
    load_a: int
    load_b: int
    store: int
    resume: bool
    hold_a: int
    hold_b: int
    hold_c: int


@dataclass(frozen=True)
class Halves:
    """Bytes of each scratchpad that one piece may use."""

    a: int
    b: int
    c: int

    @classmethod
    def of(cls, config: SATConfig) -> "Halves":
        return cls(
            *(x * 512 for x in (config.a_scratch_kib, config.b_scratch_kib, config.c_scratch_kib))
        )


@dataclass(frozen=True)
class Slab:
    """Some of the images, or of the rows of one image: `share` of `whole`, and the bytes of both
    operands that belong to it (`b` only where the images are what B is reduced over)."""

    share: int
    whole: int
    a: int
    b: int


def cut(config: SATConfig, gemm: Gemm, b_bytes: int, least: int = 1) -> list[Piece]:
    """Pieces of all repeats of `gemm`, whose B takes `b_bytes` (packed or not) per product.

    More and smaller pieces than fit are made to come to about `least`, so that little time goes by
    before the first is there and after the last is done. ValueError where none is small enough.
    """
    halves = Halves.of(config)
    together = min(
        gemm.repeat,
        halves.a // max(gemm.a_bytes, 1),
        halves.b // max(b_bytes, 1),
        halves.c // max(gemm.c_bytes, 1),
    )
    if gemm.repeat > 1 and together:
        return list(_whole(gemm, b_bytes, max(1, min(together, gemm.repeat // least))))
    make = _reduce if gemm.reduces_images else _spread
    return make(config, halves, gemm, b_bytes, least) * gemm.repeat


def _whole(gemm: Gemm, b_bytes: int, together: int) -> Iterator[Piece]:
    for start in range(0, gemm.repeat, together):
        count = min(together, gemm.repeat - start)
        moved = (gemm.a_bytes * count, b_bytes * count, gemm.c_bytes * count)
        yield Piece((gemm.p, gemm.q, gemm.k), count, *moved, False, *moved)


def _spread(config: SATConfig, halves: Halves, gemm: Gemm, b_bytes: int, least: int) -> list[Piece]:
    """Cut p into slabs and, where B does not fit, q into blocks, and k where one block does not.

    Of slabs and blocks, the outer loop is the one that makes for less to load.
    """
    widths = _widths(gemm.q, halves.b * gemm.q // b_bytes, config.cols)
    deepest = halves.b * gemm.q * gemm.k // (b_bytes * widths[0])
    depths = _widths(gemm.k, deepest, max(GROUP_SIZES))
    if depths[0] > deepest:
        raise ValueError(f"the B scratchpad must be larger than {2 * halves.b} bytes")
    parts = len(depths)
    c_width = widths[0] * (SINGLE if parts > 1 else HALF)
    slabs = _slabs(gemm, halves.a, None, 0, halves.c, gemm.p * c_width, least)
    moving = len(widths) * parts > 1
    a_total = sum(slab.a for slab in slabs)
    by_slab = a_total + (len(slabs) if moving else 1) * b_bytes
    by_block = a_total * len(widths) + (b_bytes if parts == 1 else len(slabs) * b_bytes)
    order = (
        [(i, j) for i in range(len(slabs)) for j in range(len(widths))]
        if by_slab <= by_block
        else [(i, j) for j in range(len(widths)) for i in range(len(slabs))]
    )
    pieces = []
    has_a, has_b = -1, (-1, -1)
    for i, j in order:
        slab, width = slabs[i], widths[j]
        p = _share(gemm.p, slab)
        for t, depth in enumerate(depths):
            b = -(-b_bytes * width * depth // (gemm.q * gemm.k))
            last = t == parts - 1
            pieces.append(
                Piece(
                    shape=(p, width, depth),
                    products=1,
                    load_a=slab.a if has_a != i else 0,
                    load_b=b if has_b != (j, t) else 0,
                    store=p * width * HALF if last else 0,
                    resume=t > 0,
                    hold_a=slab.a,
                    hold_b=b,
                    hold_c=p * width * (SINGLE if parts > 1 else HALF),
                )
            )
            has_a, has_b = i, (j, t)
    return pieces


def _reduce(config: SATConfig, halves: Halves, gemm: Gemm, b_bytes: int, least: int) -> list[Piece]:
    """Cut k into slabs of images; where the sums do not fit, q and then p into blocks, each of
    which goes over all slabs."""
    widths = _widths(gemm.q, halves.c // (gemm.p * SINGLE), config.cols)
    heights = _widths(gemm.p, halves.c // (widths[0] * SINGLE), config.rows)
    if widths[0] * heights[0] * SINGLE > halves.c:
        raise ValueError(f"the C scratchpad must be larger than {2 * halves.c} bytes")
    b_width = -(-b_bytes * widths[0] // gemm.q)
    slabs = _slabs(gemm, halves.a, halves.b, b_width, None, 0, least)
    pieces = []
    has_a, has_b = -1, (-1, -1)
    for height in heights:
        for j, width in enumerate(widths):
            for i, slab in enumerate(slabs):
                b = -(-slab.b * width // widths[0])
                last = i == len(slabs) - 1
                pieces.append(
                    Piece(
                        shape=(height, width, _share(gemm.k, slab)),
                        products=1,
                        load_a=slab.a if has_a != i else 0,
                        load_b=b if has_b != (j, i) else 0,
                        store=height * width * SINGLE if last else 0,
                        resume=i > 0,
                        hold_a=slab.a,
                        hold_b=b,
                        hold_c=height * width * SINGLE,
                    )
                )
                has_a, has_b = i, (j, i)
    return pieces


def _slabs(
    gemm: Gemm,
    a_half: int,
    b_half: int | None,
    b_bytes: int,
    c_half: int | None,
    c_bytes: int,
    least: int,
) -> list[Slab]:
    """Whole images where at least one fits, else rows of one image. None: nothing to fit."""
    sizes = [(a_half, gemm.a_bytes), (b_half, b_bytes), (c_half, c_bytes)]
    limits = [(half, total) for half, total in sizes if half is not None]
    a, b = (-(-total // gemm.images) for total in (gemm.a_bytes, b_bytes))
    fit = min(half // max(-(-total // gemm.images), 1) for half, total in limits)
    if fit:
        counts = _even(gemm.images, -(-gemm.images // min(fit, -(-gemm.images // least))))
        return [Slab(n, gemm.images, a * n, b * n) for n in counts]
    whole = gemm.images * gemm.rows
    a, b = -(-a // gemm.rows), -(-b // gemm.rows)
    room = [(a_half - gemm.halo_bytes, gemm.a_bytes), *limits[1:]]
    fit = min(half // max(-(-total // whole), 1) for half, total in room)
    if fit < 1:
        raise ValueError(
            f"one row of pixels takes {a} bytes and its halo {gemm.halo_bytes}, and others "
            f"{-(-limits[1][1] // whole)}: the scratchpads are too small"
        )
    counts = _even(gemm.rows, -(-gemm.rows // min(fit, gemm.rows)))
    image = [Slab(n, whole, a * n + gemm.halo_bytes, b * n) for n in counts]
    return image * gemm.images


def _share(total: int, slab: Slab) -> int:
    return -(-total * slab.share // slab.whole)


def _widths(total: int, most: int, unit: int) -> list[int]:
    """`total` in blocks of at most `most`, whole units of the array but for the last.

    Where not even a unit fits, blocks of a unit: the caller cuts elsewhere.
    """
    if total <= most:
        return [total]
    width = min(max(most // unit, 1) * unit, total)
    return [width] * (total // width) + ([total % width] if total % width else [])


def _even(total: int, parts: int) -> list[int]:
    """`total` in `parts` nearly equal parts, the larger ones first."""
    small, more = divmod(total, parts)
    return [small + 1] * more + [small] * (parts - more)
