"""Which rows of C sums go to and come from, in the order in which they pass a column."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Out, connect, flipped

from sparsat.hw.config import SATConfig
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.later import later
from sparsat.hw.loops import nest
from sparsat.hw.walk import WalkChunks, product, product_base, total

ADDRESS = signed(26)
WALK = 5
"""Cycles from a step of the loops to the row it leads to, at the stream at the earliest."""
AHEAD = 16
"""Rows that are known ahead, at most."""
FIELDS = (
    *("ws", "chain", "resume", "ir", "is_", "p", "tiles_p", "q_blocks", "tiles_q", "groups"),
    *("passes", "products0", "products1", "c_base", "c_product0", "c_product1", "c_p", "c_q"),
    "c_advance",
)


def sum_layout(config: SATConfig) -> StructLayout:
    """A sum of a column: its row of a half, whether it is kept; whether it is a resumed one, and
    the first of an operation of the array, which begins only when the one before has ended."""
    rows = range(half_rows_c(config))
    return StructLayout({"half": 1, "row": rows, "kept": 1, "resumed": 1, "opens": 1, "follows": 1})


class CWalk(wiring.Component):
    """Through the loops of EXEC along C (docs/isa.md): a row per cycle.

    Parameters
    ----------
    config : SATConfig
    ahead : bool
        See `WalkChunks`.

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    o : Out(stream of sum_layout)
    outside : Out(1)
        A row that is kept does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, ahead: bool):
        self.config, self.ahead = config, ahead
        super().__init__(
            {
                **told_ports(),
                "o": Out(stream.Signature(sum_layout(config))),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = WalkChunks(fields=FIELDS, flight=WALK, ahead=self.ahead)
        tell(m, self, chunks)
        x, run, step = chunks.own, Signal(), Signal()
        ahead = Signal(range(AHEAD + 1))
        m.d.comb += step.eq(run & (ahead != AHEAD))
        m.d.sync += ahead.eq(ahead + step - (self.o.valid & self.o.ready))
        counts = {
            "column": x.is_,
            "e": x.ir,
            "row": Mux(x.ws, x.groups, self.config.rows),
            "tile_q": x.tiles_q,
            "tile_p": Mux(x.ws, 1, x.tiles_p),
            "product0": x.products0,
            "product1": x.products1,
            "pass": Mux(x.ws, x.passes, 1),
        }
        levels = nest(m, run, step, counts)
        ends = step & levels["pass"].final
        m.d.comb += chunks.done.eq(ends)
        with m.If(chunks.start | ends):
            m.d.sync += run.eq(chunks.start)
        p, q = self._place(m, chunks.start, x, levels, step)
        base = self._base(m, chunks.start, x, levels)
        flags = self._flags(m, chunks, levels, step)
        self._row(m, x, step, chunks.current, p, q, base, flags)
        return m

    def _place(self, m, start, x, levels, step):
        """Row P and block of columns Q of the sum; OS, the last row of the array comes first."""
        rows = self.config.rows
        p, of_tile, q, of_tile_q = (Signal(25, name=n) for n in ("p", "p_tile", "q", "q_tile"))
        tile = Signal(12)  # rows of P in a tile, less those of one row of the array
        m.d.sync += tile.eq(x.ir * (rows - 1))
        opening = Mux(x.ws, 0, tile)
        with m.If(step):
            m.d.sync += q.eq(q + 1)
        with m.If(levels["e"].ends):
            m.d.sync += [q.eq(of_tile_q), p.eq(p + 1)]
        with m.If(levels["row"].ends):
            # The next row of the array lies above this one; weight-stationary, slots follow.
            m.d.sync += p.eq(Mux(x.ws, p + 1, p + 1 - (x.ir << 1)))
        with m.If(levels["tile_q"].ends):
            m.d.sync += [p.eq(of_tile + opening), of_tile_q.eq(q + 1), q.eq(q + 1)]
            with m.If(levels["tile_q"].last):
                m.d.sync += [q.eq(0), of_tile_q.eq(0)]
        with m.If(levels["tile_p"].ends & ~x.ws):
            m.d.sync += [
                p.eq(of_tile + x.ir + (tile << 1)),
                of_tile.eq(of_tile + x.ir + tile),
            ]
        with m.If(levels["product0"].ends):
            m.d.sync += [p.eq(opening), of_tile.eq(0)]
        with m.If(start):
            m.d.sync += [q.eq(0), of_tile_q.eq(0), of_tile.eq(0), p.eq(opening)]
        return p, q

    def _base(self, m, start, x, levels):
        base, restart = product_base(m, ADDRESS, levels, (x.c_product0, x.c_product1))
        with m.If(start | levels["pass"].ends):
            restart(x.c_base)
        return base

    def _flags(self, m, chunks, levels, step):
        """Whether the sum is a resumed one, opens an operation, or follows in one."""
        opens, later_pass = Signal(), Signal()
        with m.If(step):
            m.d.sync += opens.eq(levels["pass"].ends)
        with m.If(levels["pass"].ends):
            m.d.sync += later_pass.eq(1)
        with m.If(chunks.start):
            m.d.sync += [opens.eq(1), later_pass.eq(0)]
        flags = Signal(StructLayout({"resumed": 1, "opens": 1, "follows": 1}))
        joins = chunks.current.continues & ~later_pass
        m.d.comb += [
            flags.resumed.eq(chunks.current.resumed | later_pass),
            flags.opens.eq(opens & ~joins),
            flags.follows.eq(joins),
        ]
        return flags

    def _row(self, m, x, step, current, p, q, base, flags):
        row = total(
            m,
            ADDRESS,
            [later(m, base, 2), product(m, ADDRESS, p, x.c_p), product(m, ADDRESS, q, x.c_q)],
            2,
        )
        kept = Signal()
        m.d.sync += kept.eq((p < x.p) & (q < x.q_blocks))
        kept_later = later(m, kept, 3)
        valid = later(m, step, 4)
        m.submodules.ahead = queue = Queue(shape=sum_layout(self.config), depth=AHEAD)
        entry = queue.i.payload
        m.d.comb += [
            queue.i.valid.eq(valid),
            entry.half.eq(later(m, current.c_half, 4)),
            entry.row.eq(row),
            entry.kept.eq(kept_later),
            *(entry[name].eq(later(m, flags[name], 4)) for name in ("resumed", "opens", "follows")),
        ]
        connect(m, queue.o, flipped(self.o))
        outside = (row < 0) | (row >= half_rows_c(self.config))
        m.d.sync += self.outside.eq(valid & kept_later & outside)
