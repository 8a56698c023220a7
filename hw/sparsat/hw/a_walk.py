"""Which words of A the rows of one feeder take, in the order in which it reads them.

One counter of docs/isa.md is walked in the outer loop, the other in the inner one:
output-stationary those of K and R, weight-stationary those of R and K. Where the outer counter's
entries share a word of 16 values, each row keeps it for as many slots; where the inner one's do, it
goes to several rows at once (`wide`).
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import FEEDER_ROWS, WORD
from sparsat.hw.config import SATConfig
from sparsat.hw.counter import Counter
from sparsat.hw.digits import Digits, Sum
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.isa.site import half_values_a
from sparsat.hw.later import later
from sparsat.hw.loops import nest
from sparsat.hw.walk import WalkChunks, product, product_base, total

ADDRESS = signed(26)
WALK = 6
"""Cycles from a step of the loops to the word it leads to."""
FIELDS = (
    *("ws", "a_mn", "a_shared", "log_m", "ir", "tiles_p", "tiles_q", "groups", "passes", "k", "p"),
    *("products0", "products1", "a_base", "a_outer", "a_inner", "a_product0", "a_product1"),
    *("r0_count", "r1_count", "r0_a", "r1_a", "r2_a", "r0_x", "r1_y", "r1_x", "r2_y"),
    *("k0_count", "k1_count", "k0_a", "k1_a", "k2_a", "k0_x", "k1_y", "k1_x", "k2_y"),
    *("y0", "x0", "y_outer", "y_inner", "height", "width"),
)
ALL = (1 << FEEDER_ROWS) - 1
ROWS = StructLayout(
    {"first": range(FEEDER_ROWS), "beyond": range(2 * FEEDER_ROWS), "last": 1, "final": 1}
)
"""Rows that a word goes to: the first one, the first one that it does not; whether they are the
feeder's last ones, and this their last word."""
LIVE = 8
"""Entries that share a word, at most."""


def log_ir(ir):
    """The logarithm of a power of two."""
    return Mux(ir[4], 4, Mux(ir[3], 3, Mux(ir[2], 2, ir[1])))


def taking_layout() -> StructLayout:
    """How rows take a word: the first row it goes to, the place of that row's first value, for how
    many rows or slots it holds values (else zeros); entries of a slot less one, the logarithm of an
    entry's values, slots less one that keep the word; whether it goes to several rows."""
    return StructLayout(
        {
            "first": range(FEEDER_ROWS),
            "place": 4,
            "live": range(LIVE + 1),
            "entries": 4,
            "log_values": 3,
            "slots": 3,
            "wide": 1,
        }
    )


class AWalk(wiring.Component):
    """Through the loops of EXEC along A: a word per cycle.

    Parameters
    ----------
    config : SATConfig
    rows : int
        Of the feeder.

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    opening, tile : In(Digits.LAYOUT)
        Of the inner counter: the feeder's first entry, and by how much it grows from tile to tile
        (OS) or pass to pass (WS).
    room : In(1)
        The row with most entries has room for `entries` more.
    fills : Out(1), entries : Out(5)
        So many entries of that are going to be filled; a register.
    valid : Out(1), half : Out(1), word : Out, rows : Out(FEEDER_ROWS), taking : Out(taking_layout)
        A word, `WALK` cycles after the step.
    outside : Out(1)
        It does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, rows: int):
        self.config, self.rows_ = config, rows
        super().__init__(
            {
                **told_ports(),
                "opening": In(Digits.LAYOUT),
                "tile": In(Digits.LAYOUT),
                "room": In(1),
                "fills": Out(1),
                "entries": Out(5),
                "valid": Out(1),
                "half": Out(1),
                "word": Out(range(half_values_a(config) // WORD)),
                "rows": Out(FEEDER_ROWS),
                "taking": Out(taking_layout()),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = WalkChunks(fields=FIELDS, flight=WALK)
        tell(m, self, chunks)
        x, start = chunks.own, chunks.start
        shape = self._shape(m, x)
        run, step, settled = Signal(), Signal(), Signal()
        rows = Signal(ROWS)
        opens, inner_ends = self._rows(m, run, step, shape, rows)
        levels = self._outer(m, run, inner_ends, x, shape)
        ends = inner_ends & levels["pass"].final
        # Before a tile's last word it must be known where the next tile begins.
        known = settled | ~(rows.final & levels["tile_q"].final)
        m.d.comb += [
            step.eq(run & known & (~opens | self.room)),
            chunks.done.eq(ends),
            self.fills.eq(step & opens),
        ]
        m.d.sync += self.entries.eq(Mux(shape.wide, 1, shape.entries))
        with m.If(start | ends):
            m.d.sync += run.eq(start)
        inner = self._inner_counter(m, x, shape, levels, run, step, inner_ends, settled, rows)
        outer = self._outer_counter(m, x, shape, levels, run, inner_ends)
        base, y = self._bases(m, chunks, x, levels)
        slots = self._slots(m, x, shape, levels, run)
        self._word(m, x, step, shape, rows, inner, outer, base, y, slots, chunks.current.a_half)
        return m

    def _shape(self, m, x):
        """Entries of a row's slot, their values, how many share a word; by how much the inner and
        the outer counter grow with a word; whether a row takes one of them: registers, as `x`
        is."""
        shape = Signal(
            StructLayout(
                {
                    "wide": 1,
                    "entries": 5,
                    "log_values": 3,
                    "log_share": 2,
                    "inner": 4,
                    "outer": 4,
                    "only_entry": 1,
                }
            )
        )
        group = (2 << x.log_m)[:5]
        log_values = Mux(x.a_mn, log_ir(x.ir), x.log_m + 1)
        share = 1 << shape.log_share
        m.d.sync += [
            shape.wide.eq(x.ws ^ x.a_mn),
            shape.entries.eq(Mux(x.a_mn, group, x.ir)),
            shape.log_values.eq(log_values),
            shape.log_share.eq(Mux(x.a_shared, Mux(log_values == 0, 3, 4 - log_values), 0)),
            shape.inner.eq(Mux(shape.wide, share, 1)),
            shape.outer.eq(Mux(shape.wide, 1, share)),
            shape.only_entry.eq(shape.wide | (shape.entries == 1)),
        ]
        return shape

    def _rows(self, m, run, step, shape, rows):
        """Rows of the feeder and, where a word goes to one row, its entries. Returns whether a word
        is the first one of all, and whether the loop ends."""
        entry, last_entry = Signal(5), Signal()
        opens, ends = Signal(), Signal()
        m.d.comb += ends.eq(step & rows.final)
        before_last = entry + 2 == shape.entries
        beyond = rows.beyond + shape.inner
        last = beyond >= self.rows_
        with m.If(step):
            m.d.sync += [entry.eq(entry + 1), last_entry.eq(before_last), opens.eq(0)]
            m.d.sync += rows.final.eq(rows.last & before_last)
            with m.If(last_entry):
                m.d.sync += [entry.eq(0), last_entry.eq(shape.only_entry)]
                m.d.sync += [rows.first.eq(rows.beyond), rows.beyond.eq(beyond)]
                m.d.sync += [rows.last.eq(last), rows.final.eq(last & shape.only_entry)]
        with m.If(ends | ~run):
            m.d.sync += [entry.eq(0), last_entry.eq(shape.only_entry), opens.eq(1)]
        return opens, ends

    def _outer(self, m, run, inner_ends, x, shape):
        """All other loops."""
        shared = Mux(shape.wide, 0, shape.log_share)
        more = ((1 << shared) - 1)[:3]
        rounds = Signal(24 + 5)
        wide_rounds = Signal(24 + 5)
        m.d.sync += [
            wide_rounds.eq(x.groups * shape.entries),
            rounds.eq(Mux(shape.wide, wide_rounds, (x.groups + more) >> shared)),
        ]
        counts = {
            "round": rounds,
            "tile_q": x.tiles_q,
            "tile_p": Mux(x.ws, 1, x.tiles_p),
            "product0": x.products0,
            "product1": x.products1,
            "pass": Mux(x.ws, x.passes, 1),
        }
        return nest(m, run, inner_ends, counts)

    def _inner_counter(self, m, x, shape, levels, run, step, inner_ends, settled, rows):
        """R (OS) or K (WS): from the tile's or pass' first entry on. There it sets which rows the
        first word goes to."""
        now, tile = Signal(Counter.LAYOUT, name="inner"), Signal(Counter.LAYOUT, name="inner_tile")
        counts = (Mux(x.ws, x.k0_count, x.r0_count), Mux(x.ws, x.k1_count, x.r1_count))
        counter = Counter(m, counts, shape.inner)
        m.submodules.next_tile = add = Sum()
        m.d.comb += [
            add.a.eq(tile.as_value()[: Digits.LAYOUT.size]),
            add.b.eq(self.tile),
            add.count0.eq(counts[0]),
            add.count1.eq(counts[1]),
        ]
        wait = Signal(range(Sum.latency + 1))

        def begins(number):
            """It, with the rows that its first word goes to."""
            beyond, last = counter.by(number), counter.by(number) >= self.rows_
            return Cat(number, Const(0, len(rows.first)), beyond, last, last & shape.only_entry)

        # From tile to tile (OS) or pass to pass (WS), and back with each product or chunk.
        moves = Mux(x.ws, levels["product1"].final, levels["tile_q"].final)
        goes_back = Mux(x.ws, levels["pass"].final, levels["tile_p"].final)
        opening, following = (
            Counter.LAYOUT(counter.of(digits)) for digits in (self.opening, add.o)
        )
        with m.If(wait != 0):
            m.d.sync += [wait.eq(wait - 1), settled.eq(wait == 1)]
        with m.If((inner_ends & (moves | goes_back)) | ~run):
            m.d.sync += [wait.eq(Sum.latency), settled.eq(0)]
            m.d.sync += tile.eq(Mux(goes_back | ~run, opening, following))
        with m.If(step):
            m.d.sync += now.eq(counter.after(now))
        with m.If(inner_ends):
            m.d.sync += Cat(now, rows).eq(
                Mux(goes_back, begins(opening), Mux(moves, begins(following), begins(tile)))
            )
        with m.If(~run):
            m.d.sync += Cat(now, rows).eq(begins(opening))
        return now

    def _outer_counter(self, m, x, shape, levels, run, inner_ends):
        """K (OS) or R (WS): from 0 in every tile."""
        now = Signal(Counter.LAYOUT, name="outer")
        counts = (Mux(x.ws, x.r0_count, x.k0_count), Mux(x.ws, x.r1_count, x.k1_count))
        counter = Counter(m, counts, shape.outer)
        with m.If(inner_ends):
            m.d.sync += now.eq(counter.after(now))
        with m.If(levels["tile_q"].ends | ~run):
            m.d.sync += now.eq(counter.zero())
        return now

    def _slots(self, m, x, shape, levels, run):
        """Slots less one that keep the round's words: fewer at the end of a tile."""
        more = Signal(x.groups.shape())  # slots of the tile from the round's second one on
        others = Signal(more.shape())
        share = Mux(shape.wide, 0, (1 << shape.log_share) - 1)[:3]
        m.d.sync += others.eq(x.groups - 1)
        with m.If(levels["round"].ends):
            m.d.sync += more.eq(more - share - 1)
        with m.If(levels["tile_q"].ends | ~run):
            m.d.sync += more.eq(others)
        return Mux(shape.wide, 0, Mux(more < share, more, share))[:3]

    def _bases(self, m, chunks, x, levels):
        """Where the chunk's product begins, and how far down its pixels lie."""
        of_chunk, of_outer = Signal(ADDRESS), Signal(ADDRESS)
        y, y_of_outer = Signal(ADDRESS), Signal(ADDRESS)

        def begin(first, outer_, outer_step, inner_step, now):
            """What a chunk begins with, and what the first one of its outer turn does."""
            new_outer = Mux(chunks.first, first, outer_ + outer_step)
            return Mux(chunks.first_inner, new_outer, now + inner_step), new_outer

        new, new_outer = begin(x.a_base, of_outer, x.a_outer, x.a_inner, of_chunk)
        new_y, new_y_outer = begin(x.y0, y_of_outer, x.y_outer, x.y_inner, y)
        base, restart = product_base(m, ADDRESS, levels, (x.a_product0, x.a_product1))
        with m.If(levels["pass"].ends):
            restart(of_chunk)
        with m.If(chunks.start):
            restart(new)
            m.d.sync += [of_chunk.eq(new), y.eq(new_y)]
            with m.If(chunks.first_inner):
                m.d.sync += [of_outer.eq(new_outer), y_of_outer.eq(new_y_outer)]
        return base, y

    def _word(self, m, x, step, shape, rows, inner, outer, base, y, slots, half):
        r, k = Signal(Counter.LAYOUT, name="r"), Signal(Counter.LAYOUT, name="k")
        m.d.comb += [r.eq(Mux(x.ws, outer, inner)), k.eq(Mux(x.ws, inner, outer))]

        def times(digit, name):
            return product(m, ADDRESS, digit, x[name])

        of_address = [later(m, base, 2)]
        of_address += [times(r[f"d{d}"], f"r{d}_a") for d in range(3)]
        of_address += [times(k[f"d{d}"], f"k{d}_a") for d in range(3)]
        address = total(m, ADDRESS, of_address, 3)
        of_y = [times(r.d1, "r1_y"), times(r.d2, "r2_y"), times(k.d1, "k1_y"), times(k.d2, "k2_y")]
        of_x = [times(r.d0, "r0_x"), times(r.d1, "r1_x"), times(k.d0, "k0_x"), times(k.d1, "k1_x")]
        at_y = total(m, ADDRESS, [later(m, y, 2), *of_y], 3)
        at_x = total(m, ADDRESS, [x.x0, *of_x], 3)

        # Entries of K below k: k-words that share a word may be partly beyond.
        left, live, wanted = Signal(signed(26)), Signal(range(LIVE + 1)), Signal()
        rows_of_p = product(m, 30, r.whole, Mux(x.a_mn, x.ir, 1))
        m.d.sync += [left.eq(x.k - k.whole), wanted.eq(rows_of_p < x.p)]
        some = Mux(left >= LIVE, LIVE, left[:3])
        m.d.sync += live.eq(Mux(left <= 0, 0, Mux(x.a_mn, LIVE, some)))
        live, wanted = later(m, live, 3), later(m, wanted, 2)
        inside = (at_y >= 0) & (at_y < x.height) & (at_x >= 0) & (at_x < x.width) & (live != 0)

        to = ((ALL << rows.first) & ~(ALL << rows.beyond))[:FEEDER_ROWS]
        valid, taking = later(m, step, WALK - 1), self.taking
        m.d.sync += [
            self.valid.eq(valid),
            self.half.eq(later(m, half, WALK - 1)),
            self.word.eq(address >> 4),
            self.rows.eq(later(m, to, WALK - 1)),
            taking.first.eq(later(m, rows.first, WALK - 1)),
            taking.place.eq(address[:4]),
            taking.live.eq(Mux(inside, live, 0)),
            taking.entries.eq(shape.entries - 1),
            taking.log_values.eq(shape.log_values),
            taking.slots.eq(later(m, slots, WALK - 1)),
            taking.wide.eq(shape.wide),
            self.outside.eq(
                valid & inside & wanted & ((address < 0) | (address >= half_values_a(self.config)))
            ),
        ]
