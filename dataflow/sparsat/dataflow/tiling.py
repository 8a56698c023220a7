"""Cutting a GEMM into pieces that fit the scratchpads, each half of which is in use at a time.

`Piece`s come in the order in which they run. A piece's operands are loaded where they differ from
the previous piece's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sparsat.dataflow.products import Gemm
from sparsat.hw.config import SATConfig


@dataclass(frozen=True)
class Piece:
    """One execution: products of `shape` (p, q, k), and the bytes that move for it.

    `load_a`, `load_b` are 0 where the operand is already there; `store` is 0 where the sums stay
    for the next piece, which then resumes them.
    """

    shape: tuple[int, int, int]
    products: int
    load_a: int
    load_b: int
    store: int
    resume: bool


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


def cut(config: SATConfig, gemm: Gemm, b_bytes: int) -> list[Piece]:
    """Pieces of all repeats of `gemm`, whose B takes `b_bytes` (packed or not) per product.

    ValueError where even the smallest piece does not fit.
    """
    halves = Halves.of(config)
    together = min(
        gemm.repeat,
        halves.a // max(gemm.a_bytes, 1),
        halves.b // max(b_bytes, 1),
        halves.c // max(gemm.c_bytes, 1),
    )
    if together:
        return list(_whole(gemm, b_bytes, together))
    one = _reduce(halves, gemm) if gemm.reduces_images else _spread(halves, gemm, b_bytes)
    return [piece for _ in range(gemm.repeat) for piece in one]


def _whole(gemm: Gemm, b_bytes: int, together: int) -> Iterator[Piece]:
    for start in range(0, gemm.repeat, together):
        count = min(together, gemm.repeat - start)
        moved = (gemm.a_bytes * count, b_bytes * count, gemm.c_bytes * count)
        yield Piece((gemm.p, gemm.q, gemm.k), count, *moved, resume=False)


def _spread(halves: Halves, gemm: Gemm, b_bytes: int) -> list[Piece]:
    """Cut p into slabs and, where B does not fit, q into blocks; the operand that is loaded again
    and again is the one that costs less."""
    blocks = -(-b_bytes // halves.b)
    slabs = _slabs(halves.a, halves.c, gemm, blocks)
    while slabs is None and blocks < gemm.q:
        blocks *= 2
        slabs = _slabs(halves.a, halves.c, gemm, blocks)
    if slabs is None:
        raise ValueError(
            f"one row of pixels takes {gemm.a_bytes // (gemm.images * gemm.rows)} bytes and its "
            f"halo {gemm.halo_bytes}: the A scratchpad must be larger than {2 * halves.a} bytes"
        )
    widths = _even(gemm.q, blocks)
    a_total = sum(slab[1] for slab in slabs)
    slab_outer = a_total + len(slabs) * (b_bytes if blocks > 1 else 0) + b_bytes
    block_outer = a_total * blocks + b_bytes
    pieces = []
    order = (
        [(i, j) for i in range(len(slabs)) for j in range(blocks)]
        if slab_outer <= block_outer
        else [(i, j) for j in range(blocks) for i in range(len(slabs))]
    )
    before: tuple[int | None, int | None] = (None, None)
    for i, j in order:
        part, bytes_ = slabs[i]
        p = -(-gemm.p * part[0] // part[1])
        pieces.append(
            Piece(
                shape=(p, widths[j], gemm.k),
                products=1,
                load_a=bytes_ if before[0] != i else 0,
                load_b=b_bytes * widths[j] // gemm.q if before[1] != j else 0,
                store=gemm.c_bytes * part[0] // part[1] * widths[j] // gemm.q,
                resume=False,
            )
        )
        before = (i, j)
    return pieces


def _slabs(a_half: int, c_half: int, gemm: Gemm, blocks: int):
    """Slabs as (fraction of p, bytes of A), or None where not even one row fits."""
    a_image, c_image = gemm.a_bytes // gemm.images, gemm.c_bytes // gemm.images // blocks
    images = min(a_half // max(a_image, 1), c_half // max(c_image, 1), gemm.images)
    if images:
        counts = _even(gemm.images, -(-gemm.images // images))
        return [((count, gemm.images), a_image * count) for count in counts]
    a_row, c_row = a_image // gemm.rows, c_image // gemm.rows
    rows = min((a_half - gemm.halo_bytes) // max(a_row, 1), c_half // max(c_row, 1), gemm.rows)
    if rows < 1:
        return None
    counts = _even(gemm.rows, -(-gemm.rows // rows))
    whole = gemm.images * gemm.rows
    return [((n, whole), a_row * n + gemm.halo_bytes) for _ in range(gemm.images) for n in counts]


def _reduce(halves: Halves, gemm: Gemm) -> list[Piece]:
    """Cut k into slabs of images; where the sums do not fit, cut q into blocks, each its own pass."""
    blocks = -(-gemm.c_bytes // halves.c)
    widths = _even(gemm.q, blocks)
    b_share = gemm.b_bytes // blocks
    slabs = _slabs_of_two(halves, gemm.a_bytes, b_share, gemm)
    pieces = []
    for width in widths:
        for number, (part, a_bytes, b_bytes) in enumerate(slabs):
            last = number == len(slabs) - 1
            pieces.append(
                Piece(
                    shape=(gemm.p, width, -(-gemm.k * part[0] // part[1])),
                    products=1,
                    load_a=a_bytes,
                    load_b=b_bytes,
                    store=gemm.c_bytes * width // gemm.q if last else 0,
                    resume=number > 0,
                )
            )
    return pieces


def _slabs_of_two(halves: Halves, a_bytes: int, b_bytes: int, gemm: Gemm):
    a_image, b_image = a_bytes // gemm.images, b_bytes // gemm.images
    images = min(halves.a // max(a_image, 1), halves.b // max(b_image, 1), gemm.images)
    if images:
        counts = _even(gemm.images, -(-gemm.images // images))
        return [((n, gemm.images), a_image * n, b_image * n) for n in counts]
    a_row, b_row = a_image // gemm.rows, b_image // gemm.rows
    rows = min((halves.a - gemm.halo_bytes) // max(a_row, 1), halves.b // max(b_row, 1), gemm.rows)
    if rows < 1:
        raise ValueError(
            f"one row of pixels takes {a_row} + {b_row} bytes: the scratchpads must be larger"
        )
    counts = _even(gemm.rows, -(-gemm.rows // rows))
    whole = gemm.images * gemm.rows
    return [
        ((n, whole), a_row * n + gemm.halo_bytes, b_row * n)
        for _ in range(gemm.images)
        for n in counts
    ]


def _even(total: int, parts: int) -> list[int]:
    """`total` in `parts` nearly equal parts, the larger ones first."""
    small, more = divmod(total, parts)
    return [small + 1] * more + [small] * (parts - more)
