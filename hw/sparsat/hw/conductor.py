"""Conductor: turns an operation into slots for row 0 and word requests for the columns."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import ACC_LOOP, ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig
from sparsat.hw.row_head import SLOT, op_layout

COUNT_BITS = 24


def request_layout(config: SATConfig) -> StructLayout:
    """An `ArrayOp` as the array takes it; `n`, `ir`, `is_` are the plain numbers, m is 4 << `log_m`."""
    d = config.depth.bit_length()
    return StructLayout(
        {
            "ws": 1,
            "a_mn": 1,
            "b_mn": 1,
            "resume": 1,
            "n": 5,
            "log_m": 2,
            "ir": d,
            "is_": d,
            "groups": COUNT_BITS,
            "tiles": COUNT_BITS,
        }
    )


def encode_request(config: SATConfig, op: ArrayOp) -> int:
    """The bits of `request_layout` for a valid operation."""
    op.validate(config)
    fields = {
        "ws": op.dataflow is Dataflow.WS,
        "a_mn": op.a_order is Order.MN,
        "b_mn": op.b_order is Order.MN,
        "resume": op.resume,
        "n": op.n,
        "log_m": op.m.bit_length() - 3,
        "ir": op.ir,
        "is_": op.is_,
        "groups": op.groups,
        "tiles": op.tiles,
    }
    return request_layout(config).const(fields).as_value().value


class Conductor(wiring.Component):
    """Sequencer of the whole array.

    Derives the operation's constants, then gives row 0 one slot after another, no faster than
    the slot's period, and not before

    * `step_valid`: the operands the slot loads are at hand;
    * output-stationary, for the slot that ends a tile: the previous tile's sums have left;
    * weight-stationary, for the slot that loads weights: the columns have brought the previous ones.

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
        request = Signal(request_layout(self.config))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += request.eq(self.i.payload)
        self._derive(m, request)
        self._sequence(m, request)
        return m

    def _derive(self, m, request):
        """Constants of the operation, in the two cycles after it is taken."""
        op, depth = self.op, self.config.depth
        m_, dense = Signal(5), Signal()
        m.d.comb += [m_.eq(4 << request.log_m), dense.eq(request.n == m_)]
        interleave = Signal(depth.bit_length())
        load_a, load_b = Signal(8), Signal(8)
        m.d.sync += [
            interleave.eq(request.ir * request.is_),
            load_a.eq((request.ir * m_) >> (self.config.a_link - 1)),
            load_b.eq(request.is_ * request.n),
        ]
        pace, slowest = Signal(depth.bit_length()), Signal(10)
        m.d.comb += [
            pace.eq(Mux(interleave < ACC_LOOP, ACC_LOOP, interleave)),
            slowest.eq(request.n * pace),
        ]
        load = Mux(load_a > load_b, load_a, load_b)
        m.d.sync += [
            op.ws.eq(request.ws),
            op.dense.eq(dense),
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
        ]

    def _sequence(self, m, request):
        slot, op = self.slot, self.op
        tiles, groups = Signal(COUNT_BITS), Signal(COUNT_BITS)
        fills, settle = Signal(2), Signal(8)
        first_tile_slot, last_tile_slot, last_slot = Signal(), Signal(), Signal()
        m.d.comb += [
            first_tile_slot.eq(groups == request.groups),
            last_tile_slot.eq(groups == 1),
            last_slot.eq(last_tile_slot & (tiles == 1)),
        ]
        drained, fed = self._drain_timer(m), self._feed_columns(m)
        wait = Signal(op.period.shape())
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        may_go = (wait == 0) & (self.step_valid | ~slot.load_a)

        m.d.comb += [self.i.ready.eq(0), self.busy.eq(1)]
        m.d.comb += self.step_ready.eq(self.slot_valid & slot.load_a)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), self.busy.eq(0)]
                with m.If(self.i.valid):
                    m.next = "DERIVE"
            with m.State("DERIVE"):
                m.d.sync += [
                    tiles.eq(request.tiles),
                    groups.eq(request.groups),
                    fills.eq(Mux(request.ws | ~request.resume, 0, 2)),
                ]
                m.d.sync += [slot.a_sel.eq(1), slot.b_sel.eq(1), slot.half.eq(0)]
                m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "FILL"
            with m.State("FILL"):
                # Initial sums of the first two tiles: one pass each.
                m.d.comb += [slot.fill.eq(1), self.slot_valid.eq((fills != 0) & drained)]
                m.d.comb += slot.take.eq((fills == 2) | (tiles > 1))
                with m.If(fills == 0):
                    m.next = "LOAD"
                with m.Elif(drained):
                    m.d.sync += [fills.eq(fills - 1), slot.half.eq(~slot.half)]
            with m.State("LOAD"):
                m.d.comb += [slot.load_a.eq(1), slot.load_b.eq(1), self.slot_valid.eq(may_go)]
                m.d.comb += slot.take.eq(op.ws & op.resume)
                with m.If(may_go):
                    m.d.sync += [slot.a_sel.eq(0), slot.b_sel.eq(0), wait.eq(op.period - 1)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [
                    slot.compute.eq(1),
                    slot.first.eq(op.ws | first_tile_slot),
                    slot.last.eq(op.ws | last_tile_slot),
                    slot.end.eq(last_slot),
                    slot.take.eq(op.resume & Mux(op.ws, ~last_slot, tiles > 2)),
                    slot.load_a.eq(~last_slot),
                    slot.load_b.eq(Mux(op.ws, last_tile_slot & ~last_slot, ~last_slot)),
                ]
                held = Mux(op.ws, slot.load_b & ~fed, slot.last & ~drained)
                go = may_go & ~held
                m.d.comb += self.slot_valid.eq(go)
                with m.If(go):
                    m.d.sync += [wait.eq(op.period - 1), groups.eq(groups - 1)]
                    m.d.sync += slot.a_sel.eq(~slot.a_sel)
                    with m.If(~op.ws | last_tile_slot):
                        m.d.sync += slot.b_sel.eq(~slot.b_sel)
                    with m.If(last_tile_slot):
                        m.d.sync += [groups.eq(request.groups), tiles.eq(tiles - 1)]
                        m.d.sync += slot.half.eq(~op.ws & ~slot.half)
                    with m.If(last_slot):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += settle.eq(self.config.cols + 3)
                with m.If(self.done):
                    m.next = "LEAVE"
            with m.State("LEAVE"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 1):
                    m.next = "IDLE"

    def _drain_timer(self, m):
        """Whether the sums of the last tile that ended (or a pass of initial ones) have moved on.

        With initial sums the pass waits while they are read, at most one round of the interleave.
        """
        op = self.op
        left = Signal(len(op.pops) + 2)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.slot_valid & (self.slot.fill | (self.slot.last & ~op.ws))):
            own = op.last_j + 1
            m.d.sync += left.eq(op.pops + own + Mux(op.resume, own, 0) - 1)
        return left == 0

    def _feed_columns(self, m):
        """Ask for B: for all rows at once (OS), or for one row per period (WS)."""
        op = self.op
        rows_left = Signal(range(self.config.rows + 1))
        at = Signal(op.period.shape())
        with m.If(rows_left != 0):
            m.d.sync += at.eq(at + 1)
            with m.If(at == op.period - 1):
                m.d.sync += [at.eq(0), rows_left.eq(rows_left - 1)]
        with m.If(self.slot_valid & self.slot.load_b):
            m.d.sync += [at.eq(0), rows_left.eq(Mux(op.ws, self.config.rows, 1))]
        m.d.comb += self.b_ready.eq((rows_left != 0) & (at <= op.load_b))
        # The last cycle of a feed may be the first of the next.
        return (rows_left == 0) | ((rows_left == 1) & (at == op.period - 1))
