"""Conductor: turns an operation into slots for row 0 and word requests for the columns."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import ACC_LOOP, m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.request import COUNT_BITS, request_layout
from sparsat.hw.slots import SLOT, op_layout

DERIVE = 4
"""Cycles it takes to derive an operation's constants."""


class Conductor(wiring.Component):
    """Sequencer of the whole array.

    Derives the operation's constants, then gives row 0 one slot after another, no faster than
    the slot's period, and not before

    * `step_valid`: the operands the slot loads are at hand;
    * output-stationary, for the slot that ends a tile: the previous tile's sums have left;
    * weight-stationary, for the slot that loads weights: the columns have brought the last ones.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    i : In(stream of request_layout)
    step_valid : In(1), step_ready : Out(1)
        One transfer per slot that loads operands, `tiles * groups` in all.
    op : Out(op_layout)
    slot, slot_valid : Out, to row 0
    b_ready : Out(1)
        Column 0 takes a value of B in this cycle (column c does c cycles later).
    done : In(1)
        From the last row: the operation's last sum is sent.
    busy : Out(1)

    An operation is taken when the previous one has left the array.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(request_layout(config))),
                "step_valid": In(1),
                "step_ready": Out(1),
                "op": Out(op_layout(config)),
                "slot": Out(SLOT),
                "slot_valid": Out(1),
                "b_ready": Out(1),
                "done": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._drain = Signal(len(self.op.pops) + 1)
        request = Signal(request_layout(self.config))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += request.eq(self.i.payload)
        self._derive(m, request)
        self._sequence(m, request)
        return m

    def _derive(self, m, request):
        """Constants of the operation, `DERIVE` cycles after it is taken: one product per stage."""
        op, bits = self.op, self.config.depth.bit_length()
        m_, dense = Signal(5), Signal()
        m.d.comb += [m_.eq(m_of(request.log_m)), dense.eq(request.n == m_)]

        interleave, load_a, load_b = Signal(bits), Signal(8), Signal(8)
        m.d.sync += [
            interleave.eq(request.ir * request.is_),
            load_a.eq((request.ir * m_) >> (self.config.a_link - 1)),
            load_b.eq(request.is_ * request.n),
        ]
        pace, load = Signal(bits), Signal(8)
        m.d.sync += [
            pace.eq(Mux(interleave < ACC_LOOP, ACC_LOOP, interleave)),
            load.eq(Mux(load_a > request.least_period, load_a, request.least_period)),
        ]
        slowest = Signal(op.period.shape())
        m.d.sync += slowest.eq(request.n * pace)
        m.d.sync += [
            op.ws.eq(request.ws),
            op.resume.eq(request.resume),
            op.n.eq(request.n - 1),
            op.is_.eq(request.is_ - 1),
            op.last_j.eq(interleave - 1),
            op.gap.eq(pace - interleave),
            op.load_a.eq(load_a - 1),
            op.load_b.eq(load_b - 1),
            op.period.eq(Mux(slowest > load, slowest, load)),
            op.a_step_ir.eq(Mux(request.a_mn, 1, m_)),
            op.a_step_n.eq(Mux(dense, Mux(request.a_mn, request.ir, 1), 0)),
            op.b_step_is.eq(Mux(request.b_mn, 1, request.n)),
            op.b_step_n.eq(Mux(request.b_mn, request.is_, 1)),
            op.pops.eq(interleave * Const(self.config.rows - 1)),
            self._drain.eq(interleave * (Const(self.config.rows) + request.resume)),
        ]

    def _sequence(self, m, request):
        slot, op = self.slot, self.op
        begin, go = Signal(), Signal()
        first, last, final, more = self._count(m, request, begin, go)
        drained, fed = self._drained(m, begin), self._feed_columns(m)
        in_time = _countdown(m, begin, self.slot_valid & ~slot.fill, op.period)
        may_go = in_time & (self.step_valid | ~slot.load_a)
        fills, settle = Signal(2), Signal(range(self.config.cols + 4))

        m.d.comb += self.step_ready.eq(self.slot_valid & slot.load_a)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += settle.eq(DERIVE)
                with m.If(self.i.valid):
                    m.next = "DERIVE"
            with m.State("DERIVE"):
                m.d.comb += begin.eq(1)
                m.d.sync += [
                    fills.eq(Mux(request.ws | ~request.resume, 0, 2)),
                    Cat(slot.a_sel, slot.b_sel, slot.half).eq(0b011),
                    settle.eq(settle - 1),
                ]
                with m.If(settle == 1):
                    m.next = "FILL"
            with m.State("FILL"):
                # Initial sums of the first two tiles: one pass each.
                m.d.comb += [
                    slot.fill.eq(1),
                    slot.take.eq((fills == 2) | ~final),
                    self.slot_valid.eq((fills != 0) & drained),
                ]
                with m.If(fills == 0):
                    m.next = "LOAD"
                with m.Elif(drained):
                    m.d.sync += [fills.eq(fills - 1), slot.half.eq(~slot.half)]
            with m.State("LOAD"):
                m.d.comb += [
                    slot.load_a.eq(1),
                    slot.load_b.eq(1),
                    slot.take.eq(op.ws & op.resume),
                    self.slot_valid.eq(may_go),
                ]
                with m.If(may_go):
                    m.d.sync += [slot.a_sel.eq(0), slot.b_sel.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                end = last & final
                held = Mux(op.ws, slot.load_b & ~fed, slot.last & ~drained)
                m.d.comb += [
                    slot.compute.eq(1),
                    slot.first.eq(op.ws | first),
                    slot.last.eq(op.ws | last),
                    slot.end.eq(end),
                    slot.take.eq(op.resume & Mux(op.ws, ~end, more)),
                    slot.load_a.eq(~end),
                    slot.load_b.eq(~end & (last | ~op.ws)),
                    go.eq(may_go & ~held),
                    self.slot_valid.eq(go),
                ]
                with m.If(go):
                    m.d.sync += [
                        slot.a_sel.eq(~slot.a_sel),
                        slot.b_sel.eq(slot.b_sel ^ (last | ~op.ws)),
                        slot.half.eq(slot.half ^ (last & ~op.ws)),
                    ]
                with m.If(go & end):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += settle.eq(self.config.cols + 3)
                with m.If(self.done):
                    m.next = "LEAVE"
            with m.State("LEAVE"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 1):
                    m.next = "IDLE"

    @staticmethod
    def _count(m, request, begin, go):
        """Count slots and tiles; all answers come from registers.

        Returns whether the slot is the first, the last of its tile, whether the tile is the final
        one, and whether more than two tiles are left.
        """
        groups, tiles = Signal(COUNT_BITS), Signal(COUNT_BITS)
        first, last, final, more = (Signal(name=n) for n in ("first", "last", "final", "more"))
        with m.If(go):
            m.d.sync += [first.eq(last), groups.eq(groups - 1), last.eq(groups == 2)]
        with m.If(go & last):
            m.d.sync += [tiles.eq(tiles - 1), final.eq(tiles == 2), more.eq(tiles > 3)]
        with m.If(begin):
            m.d.sync += [first.eq(1), tiles.eq(request.tiles), final.eq(request.tiles == 1)]
            m.d.sync += more.eq(request.tiles > 2)
        with m.If(begin | (go & last)):
            m.d.sync += [groups.eq(request.groups), last.eq(request.groups == 1)]
        return first, last, final, more

    def _drained(self, m, begin):
        """Whether the sums of the last tile that ended (or a pass of initial ones) have moved on.

        With initial sums the pass waits while they are read, at most one round of the interleave.
        """
        starts = self.slot_valid & (self.slot.fill | (self.slot.last & ~self.op.ws))
        return _countdown(m, begin, starts, self._drain)

    def _feed_columns(self, m):
        """Ask for B: for all rows at once (OS), or for one row per period (WS)."""
        op = self.op
        rows_left = Signal(range(self.config.rows + 1))
        row_left, words_left = Signal(op.period.shape()), Signal(len(op.load_b) + 1)
        start, again = Signal(), Signal()
        m.d.comb += [
            start.eq(self.slot_valid & self.slot.load_b),
            again.eq((rows_left > 1) & (row_left == 1)),
            self.b_ready.eq(words_left != 0),
        ]
        m.d.sync += row_left.eq(row_left - 1)
        with m.If(words_left != 0):
            m.d.sync += words_left.eq(words_left - 1)
        with m.If((rows_left != 0) & (row_left == 1)):
            m.d.sync += rows_left.eq(rows_left - 1)
        with m.If(start):
            m.d.sync += rows_left.eq(Mux(op.ws, self.config.rows, 1))
        with m.If(start | again):
            m.d.sync += [row_left.eq(op.period), words_left.eq(op.load_b + 1)]
        # The last cycle of a feed may be the first of the next.
        return (rows_left == 0) | ((rows_left == 1) & (row_left == 1))


def _countdown(m, clear, start, cycles):
    """High after `clear`; low after `start`, and high again `cycles` cycles after it."""
    left, over = Signal(cycles.shape()), Signal()
    m.d.sync += left.eq(left - 1)
    with m.If(clear | (left == 1)):
        m.d.sync += over.eq(1)
    with m.If(start):
        m.d.sync += [left.eq(cycles - 1), over.eq(cycles == 1)]
    return over
