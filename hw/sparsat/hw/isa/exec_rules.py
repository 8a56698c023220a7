"""What makes an EXEC legal: its fields, and every address it reads and writes."""

from collections.abc import Iterator

from sparsat.hw.array_op import FEEDER_ROWS, ROW_WORDS, ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec
from sparsat.hw.isa.nest import Dim, Span, Window, padded_span, prefix, residues, span
from sparsat.hw.isa.site import Site, half_rows_b, half_rows_c, half_values_a

BANK = 16
"""Values of A that a feeder reads at once: a word lies within them."""
COUNTS = (
    "outer", "inner", "p", "tiles_p", "q_blocks", "tiles_q", "groups", "passes", "products0",
    "products1", "r0_count", "r1_count", "k0_count", "k1_count", "q0_count", "q1_count", "height",
    "width", "b_height", "b_width",
)  # fmt: skip


def check_exec(config: SATConfig, site: Site, instruction: Exec) -> None:
    """Raise ValueError that says what is wrong with `instruction`, if anything."""
    _check_fields(config, site, instruction)
    _check_a(config, site, instruction)
    _check_b(config, site, instruction)
    _check_c(config, site, instruction)


def _check_fields(config: SATConfig, site: Site, e: Exec) -> None:
    site.need_counts(*COUNTS)
    for field in ("a_advance", "b_advance", "c_advance"):
        site.need(field, getattr(e, field) in list(Advance), f"from 0 to {max(Advance)}")
    for field in ("a_mn", "b_mn"):
        ordered = f"0, since {e.n}:{e.m} is sparse"
        site.need(field, e.n == e.m or not getattr(e, field), ordered)
    try:
        _array_op(e).validate(config)
    except ValueError as error:
        raise site.error(str(error).removeprefix("ArrayOp: ")) from None
    if e.a_mn:
        site.need("ir", e.ir in (1, 2, 4, 8, 16), "a power of two up to 16 with r-words of A")
        for field in ("b_n", "b_last"):
            counted = "0 with r-words of A, where K counts the values of k"
            site.need(field, getattr(e, field) == 0, counted)
    site.need(
        "b_last", e.b_last < e.n and (e.n == e.m or not e.b_last), f"below n={e.n}, 0 if sparse"
    )
    halves = {Advance.ONCE: 1, Advance.OUTER: e.outer, Advance.EVERY: e.outer * e.inner}
    if e.resume:
        site.need("c_held", e.c_held == 1, "1 where sums are resumed")
        same = halves[Advance(e.c_advance)] == 1
        site.need("c_advance", same, "0 where sums are resumed: all are in the half held")


def _array_op(e: Exec) -> ArrayOp:
    """The longest operation that the array may run: all chunks, or a weight-stationary pass."""
    tiles = e.products0 * e.products1 * e.tiles_q
    if not e.ws:
        tiles *= e.tiles_p * e.outer * e.inner
    return ArrayOp(
        dataflow=Dataflow(e.ws),
        n=e.n,
        m=e.m,
        ir=e.ir,
        is_=e.is_,
        groups=e.groups,
        tiles=tiles,
        a_order=Order(e.a_mn),
        b_order=Order(e.b_mn),
        resume=bool(e.resume),
        least_period=e.least_period,
    )


def _check_feeders(config: SATConfig, site: Site, e: Exec) -> None:
    """Feeders read a slot's words in its time, and rows have room for those read ahead."""
    rows, entries = min(config.rows, FEEDER_ROWS), e.m if e.a_mn else e.ir
    word, digit = (e.ir, "r0") if e.a_mn else (e.m, "k0")
    share = min(BANK // word, 8) if e.a_shared else 1
    if e.ws:
        kept = entries * (rows + 2)
        room = ROW_WORDS * (share if e.a_mn else 1)
        site.need("ir", kept <= room, f"smaller: {kept} words are read ahead for a row, {room} fit")
    # A row keeps a word for the slots that share it, but not beyond its tile.
    slots = min(share, e.groups) if bool(e.ws) == bool(e.a_mn) else share
    period, reads = _array_op(e).period(config), rows * entries
    if not e.a_shared or slots < share:
        need = -(-reads // slots)
        slow = f"at least {need}: a feeder reads {reads} words for {slots} slots"
        site.need("least_period", period >= need, slow)
    if not e.a_shared:
        return
    if e.ws != e.a_mn and config.rows % share:
        # Tiles, or passes, may begin in the middle of a word for several rows.
        need = entries * -(-(rows + share - 1) // share)
        slow = f"at least {need}: {config.rows} rows are no whole words of {share}"
        site.need("least_period", period >= need, slow)
    count = getattr(e, f"{digit}_count")
    used = (e.groups if e.ws else e.tiles_p * config.rows) if e.a_mn else _k_entries(config, e)
    if share == 1 or min(count, used) == 1:
        return
    site.need(f"{digit}_a", getattr(e, f"{digit}_a") == word, f"{word} where a_shared is 1")
    site.need(f"{digit}_x", getattr(e, f"{digit}_x") == 0, "0 where a_shared is 1")
    whole = count % share == 0 or used <= count
    site.need(f"{digit}_count", whole, f"a multiple of {share}, the words that are read at once")


def _check_a(config: SATConfig, site: Site, e: Exec) -> None:
    _check_feeders(config, site, e)
    word = e.ir if e.a_mn else e.m
    window = Window(e.y0, e.x0, e.height, e.width)
    nests = list(_a_nests(config, e))
    for dims in nests:
        starts = residues(e.a_base, dims, BANK)
        if max(starts) + word > BANK:
            raise site.error(
                f"a_base is {e.a_base}, with the steps of A a word of {word} values begins at "
                f"{max(starts)} of {BANK} aligned ones, it must lie within them"
            )
    reached = _reach(site, "a_base", nests, window)
    if reached:
        words = reached[0], reached[1] + word - 1
        site.need_inside("a_base", words, half_values_a(config), "the values of half of A")


def _reach(site: Site, base: str, nests: list[list[Dim]], window: Window) -> Span | None:
    """The least and greatest address in all nests but the padding; None if all is padding."""
    try:
        spans = [padded_span(getattr(site.instruction, base), dims, window) for dims in nests]
    except ValueError as error:
        raise site.error(f"the steps of {base} have {error}") from None
    lows, highs = [s[0] for s in spans if s], [s[1] for s in spans if s]
    return (min(lows), max(highs)) if lows else None


def _a_nests(config: SATConfig, e: Exec) -> Iterator[list[Dim]]:
    """Nests that together read all words of rows below `p` and of entries below `k`."""
    above = [
        Dim(e.outer, e.a_outer, y=e.y_outer),
        Dim(e.inner, e.a_inner, y=e.y_inner),
        Dim(e.products0, e.a_product0),
        Dim(e.products1, e.a_product1),
    ]
    entries = e.groups if e.ws else e.tiles_p * config.rows
    rows = min(entries, -(-e.p // e.ir)) if e.a_mn else min(entries * e.ir, e.p)
    for (r0, n0), (r1, n1), (r2, n2) in prefix(rows, e.r0_count, e.r1_count):
        of_r = [
            Dim(n0, e.r0_a, x=e.r0_x, first=r0),
            Dim(n1, e.r1_a, e.r1_y, e.r1_x, first=r1),
            Dim(n2, e.r2_a, y=e.r2_y, first=r2),
        ]
        for (k0, n0), (k1, n1), (k2, n2) in _k_boxes(config, e):
            of_k = [
                Dim(n0, e.k0_a, x=e.k0_x, first=k0),
                Dim(n1, e.k1_a, e.k1_y, e.k1_x, first=k1),
                Dim(n2, e.k2_a, y=e.k2_y, first=k2),
            ]
            yield above + of_r + of_k


def _k_boxes(config: SATConfig, e: Exec) -> Iterator[tuple[Span, ...]]:
    """The entries below `k`."""
    return prefix(_k_entries(config, e), e.k0_count, e.k1_count)


def _k_entries(config: SATConfig, e: Exec) -> int:
    entries = e.passes * config.rows if e.ws else e.groups
    return min(entries * (e.m if e.a_mn else 1), e.k)


def _b_boxes(config: SATConfig, e: Exec) -> Iterator[tuple[int, tuple[Span, ...]]]:
    """Kept values, and the entries of which so many are read."""
    entries = _k_entries(config, e)
    if not e.b_last or entries < e.k:
        yield from ((e.n, box) for box in prefix(entries, e.k0_count, e.k1_count))
        return
    yield from ((e.n, box) for box in prefix(entries - 1, e.k0_count, e.k1_count))
    last = entries - 1
    digits = last % e.k0_count, last // e.k0_count % e.k1_count
    yield e.b_last, tuple((d, 1) for d in (*digits, last // (e.k0_count * e.k1_count)))


def _check_b(config: SATConfig, site: Site, e: Exec) -> None:
    window = Window(e.b_y0, e.b_x0, e.b_height, e.b_width)
    reached = _reach(site, "b_base", list(_b_nests(config, e)), window)
    if reached:
        site.need_inside("b_base", reached, half_rows_b(config), "the rows of half of B")


def _b_nests(config: SATConfig, e: Exec) -> Iterator[list[Dim]]:
    """Nests that together read all rows of entries below `k` and blocks below `q_blocks`."""
    above = [
        Dim(e.outer, e.b_outer),
        Dim(e.inner, 0, y=e.b_y_inner),
        Dim(e.products0, e.b_product0),
        Dim(e.products1, e.b_product1),
    ]
    blocks = min(e.tiles_q * e.is_, e.q_blocks)
    for kept, ((k0, n0), (k1, n1), (k2, n2)) in _b_boxes(config, e):
        of_k = [
            Dim(kept, e.b_n),
            Dim(n0, e.b_k0, x=e.b_k0_x, first=k0),
            Dim(n1, e.b_k1, y=e.b_k1_y, first=k1),
            Dim(n2, e.b_k2, first=k2),
        ]
        for (q0, n0), (q1, n1), (q2, n2) in prefix(blocks, e.q0_count, e.q1_count):
            of_q = [
                Dim(n0, e.b_q0, first=q0),
                Dim(n1, e.b_q1, x=e.b_q1_x, first=q1),
                Dim(n2, e.b_q2, y=e.b_q2_y, first=q2),
            ]
            yield above + of_k + of_q


def _check_c(config: SATConfig, site: Site, e: Exec) -> None:
    rows = (e.groups if e.ws else e.tiles_p * config.rows) * e.ir
    dims = [
        Dim(e.products0, e.c_product0),
        Dim(e.products1, e.c_product1),
        Dim(min(rows, e.p), e.c_p),
        Dim(min(e.tiles_q * e.is_, e.q_blocks), e.c_q),
    ]
    reached = span(e.c_base, dims)
    site.need_inside("c_base", reached, half_rows_c(config), "the rows of half of C")
