"""Which rows of B the columns take, in their order."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.counter import Counter
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.isa.site import half_rows_b
from sparsat.hw.later import later
from sparsat.hw.loops import nest
from sparsat.hw.walk import WalkChunks, product, product_base, total

ADDRESS = signed(52)
"""Rows, and coordinates: as wide as the sum of all that the fields of an EXEC can add."""
WALK = 6
"""Cycles from a step of the loops to the row it leads to."""
FIELDS = (
    *("ws", "a_mn", "b_mn", "n", "log_m", "is_", "tiles_p", "q_blocks", "tiles_q", "groups"),
    *("passes", "k", "products0", "products1", "k0_count", "k1_count", "q0_count", "q1_count"),
    *("b_base", "b_outer", "b_product0", "b_product1", "b_k0", "b_k1", "b_k2", "b_n", "b_last"),
    *("b_q0", "b_q1", "b_q2", "b_k0_x", "b_k1_y", "b_q1_x", "b_q2_y", "b_y0", "b_x0"),
    *("b_y_inner", "b_height", "b_width"),
)


def row_layout(config: SATConfig) -> StructLayout:
    """A row of a half of B, or zeros; whether its indices count."""
    return StructLayout({"half": 1, "row": range(half_rows_b(config)), "zero": 1, "packed": 1})


class BWalk(wiring.Component):
    """Through the loops of EXEC along B (docs/isa.md): one row per cycle.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    room : In(1)
        Another row may be begun.
    begun : Out(1)
        One is.
    valid : Out(1), row : Out(row_layout)
        `WALK` cycles after `begun`.
    outside : Out(1)
        The row does not lie in the half.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                **told_ports(),
                "room": In(1),
                "begun": Out(1),
                "valid": Out(1),
                "row": Out(row_layout(config)),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = WalkChunks(fields=FIELDS, flight=WALK)
        tell(m, self, chunks)
        run, x = Signal(), chunks.own
        m.d.comb += self.begun.eq(run & self.room)
        levels = self._loops(m, run, x)
        ends = self.begun & levels["pass"].final
        m.d.comb += chunks.done.eq(ends)
        with m.If(chunks.start | ends):
            m.d.sync += run.eq(chunks.start)
        anew = ends | ~run
        k = self._entries(m, anew, x, levels)
        q = self._columns(m, anew, x, levels)
        n = self._kept(m, anew, x, levels)
        base, y = self._bases(m, chunks, x, levels)
        self._row(m, x, chunks.current.b_half, k, q, n, base, y)
        return m

    def _loops(self, m, run, x):
        counts = {
            "word": Mux(x.b_mn, x.is_, x.n),
            "words": Mux(x.b_mn, x.n, x.is_),
            "slot": Mux(x.ws, self.config.rows, x.groups),
            "tile_q": x.tiles_q,
            "tile_p": Mux(x.ws, 1, x.tiles_p),
            "product0": x.products0,
            "product1": x.products1,
            "pass": Mux(x.ws, x.passes, 1),
        }
        return nest(m, run, self.begun, counts)

    def _entries(self, m, anew, x, levels):
        """The entry K: of a slot, or, with r-words of A, of a value."""
        k, of_slot, of_pass = (Signal(Counter.LAYOUT, name=f"k_{n}") for n in ("", "slot", "pass"))
        following = Signal(Counter.LAYOUT, name="k_next")
        counter = Counter(m, (x.k0_count, x.k1_count))
        m.d.comb += following.eq(counter.after(k))
        slot_ends, tile_ends = levels["slot"].ends, levels["tile_q"].ends
        # With r-words in k's order the values of a slot come again for every block of columns.
        again = x.a_mn & ~x.b_mn & levels["words"].ends
        value_ends = x.a_mn & (~x.b_mn | levels["words"].ends)
        with m.If(tile_ends):
            m.d.sync += [k.eq(of_pass), of_slot.eq(of_pass)]
            with m.If(levels["pass"].ends):
                m.d.sync += [each.eq(following) for each in (k, of_slot, of_pass)]
        with m.Elif(slot_ends):
            m.d.sync += [k.eq(following), of_slot.eq(following)]
        with m.Elif(again):
            m.d.sync += k.eq(of_slot)
        with m.Elif(value_ends & self.begun):
            m.d.sync += k.eq(following)
        with m.If(anew):
            m.d.sync += [each.eq(counter.zero()) for each in (k, of_slot, of_pass)]
        return k

    def _columns(self, m, anew, x, levels):
        """The block of columns Q."""
        q, of_tile = Signal(Counter.LAYOUT, name="q"), Signal(Counter.LAYOUT, name="q_tile")
        following = Signal(Counter.LAYOUT, name="q_next")
        counter = Counter(m, (x.q0_count, x.q1_count))
        m.d.comb += following.eq(counter.after(q))
        ends = Mux(x.b_mn, self.begun, levels["words"].ends)
        last = Mux(x.b_mn, levels["word"].last, levels["words"].last)
        with m.If(ends):
            m.d.sync += q.eq(following)
            with m.If(last):
                m.d.sync += q.eq(of_tile)
        with m.If(levels["tile_q"].ends):
            m.d.sync += [q.eq(following), of_tile.eq(following)]
            with m.If(levels["tile_q"].last):
                m.d.sync += [each.eq(counter.zero()) for each in (q, of_tile)]
        with m.If(anew):
            m.d.sync += [each.eq(counter.zero()) for each in (q, of_tile)]
        return q

    def _kept(self, m, anew, x, levels):
        """Which of the kept values of a group."""
        n = Signal(4)
        ends = Mux(x.b_mn, levels["words"].ends, self.begun)
        last = Mux(x.b_mn, levels["words"].last, levels["word"].last)
        with m.If(ends):
            m.d.sync += n.eq(Mux(last, 0, n + 1))
        with m.If(anew):
            m.d.sync += n.eq(0)
        return n

    def _bases(self, m, chunks, x, levels):
        """Where the chunk's product begins, and how far down its pixels lie."""
        of_chunk, y, new = (Signal(ADDRESS) for _ in range(3))
        m.d.comb += new.eq(
            Mux(chunks.first, x.b_base, of_chunk + Mux(chunks.first_inner, x.b_outer, 0))
        )
        base, restart = product_base(m, ADDRESS, levels, (x.b_product0, x.b_product1))
        with m.If(levels["pass"].ends):
            restart(of_chunk)
        with m.If(chunks.start):
            restart(new)
            m.d.sync += of_chunk.eq(new)
            m.d.sync += y.eq(Mux(chunks.first_inner, x.b_y0, y + x.b_y_inner))
        return base, y

    def _row(self, m, x, half, k, q, n, base, y):
        def times(digit, step):
            return product(m, ADDRESS, digit, step)

        two = [later(m, each, 2) for each in (base, y)]
        address = total(
            m,
            ADDRESS,
            [
                two[0],
                *(times(k[f"d{d}"], x[f"b_k{d}"]) for d in range(3)),
                *(times(q[f"d{d}"], x[f"b_q{d}"]) for d in range(3)),
                times(n, x.b_n),
            ],
            3,
        )
        at_y = total(m, ADDRESS, [two[1], times(k.d1, x.b_k1_y), times(q.d2, x.b_q2_y)], 3)
        at_x = total(m, ADDRESS, [x.b_x0, times(k.d0, x.b_k0_x), times(q.d1, x.b_q1_x)], 3)
        left_out = Signal()
        last_group = (x.b_last != 0) & (k.whole == x.k - 1) & (n >= x.b_last)
        m.d.sync += left_out.eq((k.whole >= x.k) | (q.whole >= x.q_blocks) | last_group)
        inside = (at_y >= 0) & (at_y < x.b_height) & (at_x >= 0) & (at_x < x.b_width)
        zero = later(m, left_out, WALK - 2) | ~inside
        valid = later(m, self.begun, WALK - 1)
        m.d.sync += [
            self.valid.eq(valid),
            self.row.half.eq(later(m, half, WALK - 1)),
            self.row.row.eq(address),
            self.row.zero.eq(zero),
            self.row.packed.eq(x.n != m_of(x.log_m)),
            self.outside.eq(
                valid & ~zero & ((address < 0) | (address >= half_rows_b(self.config)))
            ),
        ]
