"""Row head: turns slots into the control words of one row of cells."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.multiply import Multiply
from sparsat.hw.float.unpack import ToRow
from sparsat.hw.later import later
from sparsat.hw.slots import SLOT, op_layout, send_layout
from sparsat.hw.uspe import control_layout

LAG = 2
"""Cycles a slot's computing runs behind its loading, so that the last word is in before its use."""
READ = Multiply.latency + 2
"""Stage at which a product meets its summand."""
RESULT = READ + Accumulate.latency
"""Stage at which a new sum is written or sent."""


class RowHead(wiring.Component):
    """Sequencer of one row.

    On a slot it (1) asks for the row's A words and has the cells store them and the B words that
    arrive from above, (2) `LAG` cycles later steps through n, ir, is_ and issues one
    multiplication per cycle, (3) sends finished sums south and, output-stationary, then passes on
    the sums of the rows above. The slot goes to the next row one cycle later (OS) or when this row
    is done with it (WS: the sums it needs are then on their way).

    Parameters
    ----------
    config : SATConfig
    top : bool
        Whether this is row 0, whose initial sums come from outside.

    Members
    -------
    op : In(op_layout)
    slot, slot_valid : In
    slot_out, slot_out_valid : Out, to the next row
    north : In(send_layout)
        What the row above sends, one cycle before it arrives (unused in row 0).
    south : Out(send_layout)
    a_ready : Out(1)
        The row takes `a_link` values of A in this cycle.
    c_ready : Out(1)
        Row 0 takes an initial sum in this cycle.
    ctl : Out(control_layout)
    done : Out(1)
        The last sum of the operation is sent in this cycle.
    """

    def __init__(self, *, config: SATConfig, top: bool):
        self.config, self.top = config, top
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config: SATConfig) -> dict[str, wiring.Member]:
        return {
            "op": In(op_layout(config)),
            "slot": In(SLOT),
            "slot_valid": In(1),
            "slot_out": Out(SLOT),
            "slot_out_valid": Out(1),
            "north": In(send_layout(config)),
            "south": Out(send_layout(config)),
            "a_ready": Out(1),
            "c_ready": Out(1),
            "ctl": Out(control_layout(config)),
            "done": Out(1),
        }

    def elaborate(self, platform):
        m = Module()
        self._hand_over(m)
        self._load(m)
        stages = self._issue(m)
        self._operands(m, stages)
        sums = self._summands(m, stages)
        self._send(m, stages, sums)
        return m

    def _hand_over(self, m):
        """Pass the slot on: at once, or when its period is over."""
        left = Signal(self.op.period.shape())
        held = Signal(SLOT)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.slot_valid):
            m.d.sync += [held.eq(self.slot), left.eq(Mux(self.op.ws, self.op.period, 0))]
        m.d.sync += [
            self.slot_out.eq(Mux(self.op.ws, held, self.slot)),
            self.slot_out_valid.eq(Mux(self.op.ws, left == 1, self.slot_valid)),
        ]

    def _load(self, m):
        """Take the words of the next slot; they reach the cells when they are unpacked."""
        ctl = self.ctl

        def counter(start, last, name):
            run, at = Signal(name=f"{name}_run"), Signal(6, name=f"{name}_at")
            with m.If(run):
                m.d.sync += [at.eq(at + 1), run.eq(at != last)]
            with m.If(start):
                m.d.sync += [at.eq(0), run.eq(1)]
            return run, at

        start = self.slot_valid
        a_run, a_at = counter(start & self.slot.load_a, self.op.load_a, "a")
        b_run, b_at = counter(start & self.slot.load_b, self.op.load_b, "b")
        a_sel, b_sel = Signal(), Signal()
        with m.If(start):
            m.d.sync += [a_sel.eq(~self.slot.a_sel), b_sel.eq(~self.slot.b_sel)]

        m.d.comb += self.a_ready.eq(a_run)
        a_bits, b_bits = len(ctl.a_waddr) - 1, len(ctl.b_waddr) - 1
        words = (
            (ctl.a_we, a_run),
            (ctl.a_waddr, Cat(a_at[:a_bits], a_sel)),
            (ctl.b_we, b_run),
            (ctl.b_waddr, Cat(b_at[:b_bits], b_sel)),
        )
        for field, value in words:
            m.d.comb += field.eq(later(m, value, ToRow.latency))

    def _issue(self, m):
        """Step through n (outermost), ir, is_; returns what each stage of the cells does."""
        op = self.op
        d = len(op.last_j)
        slot = Signal(SLOT)
        delayed, delayed_valid = self.slot, self.slot_valid & ~self.slot.fill
        delayed = later(m, delayed.as_value(), LAG)
        delayed_valid = later(m, delayed_valid, LAG)

        run, wait = Signal(), Signal(op.gap.shape())
        n, ir, is_, j = Signal(4), Signal(d), Signal(d), Signal(d)
        a_n, a, b_n, b = Signal(6), Signal(6), Signal(6), Signal(6)
        go = Signal()
        m.d.comb += go.eq(run & (wait == 0))
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(go):
            m.d.sync += [j.eq(j + 1), is_.eq(is_ + 1), b.eq(b + op.b_step_is)]
            with m.If(is_ == op.is_):
                m.d.sync += [is_.eq(0), b.eq(b_n), ir.eq(ir + 1), a.eq(a + op.a_step_ir)]
            with m.If(j == op.last_j):
                m.d.sync += [
                    *(x.eq(0) for x in (j, is_, ir)),
                    *(x.eq(b_n + op.b_step_n) for x in (b, b_n)),
                    *(x.eq(a_n + op.a_step_n) for x in (a, a_n)),
                    wait.eq(op.gap),
                    n.eq(n + 1),
                    run.eq(n != op.n),
                ]
        with m.If(delayed_valid):
            m.d.sync += [slot.eq(delayed), run.eq(1), wait.eq(0)]
            m.d.sync += [x.eq(0) for x in (n, ir, is_, j, a_n, a, b_n, b)]

        begins, ends = n == 0, n == op.n
        stage = Signal(
            StructLayout(
                {
                    "go": 1,
                    "j": d,
                    "a": 7,
                    "b": 7,
                    "compute": 1,
                    "start": 1,  # the summand is an initial one
                    "begins": 1,
                    "take": 1,
                    "final": 1,  # the sum leaves the cell
                    "half": 1,
                    "end": 1,
                }
            )
        )
        m.d.comb += [
            stage.go.eq(go),
            stage.j.eq(j),
            stage.a.eq(Cat(a[: len(self.ctl.a_base) - 1], slot.a_sel)),
            stage.b.eq(Cat(b[: len(self.ctl.b_raddr) - 1], slot.b_sel)),
            stage.compute.eq(go & slot.compute),
            stage.start.eq(go & slot.compute & slot.first & begins),
            stage.begins.eq(go & begins),
            stage.take.eq(slot.take),
            stage.final.eq(go & slot.compute & slot.last & ends),
            stage.half.eq(slot.half),
            stage.end.eq(slot.end & (j == op.last_j)),
        ]
        stages = [stage]
        for number in range(1, RESULT + 1):
            following = Signal(stage.shape(), name=f"stage_{number}")
            m.d.sync += following.eq(stages[-1])
            stages.append(following)
        return stages

    def _operands(self, m, stages):
        m.d.comb += [self.ctl.b_raddr.eq(stages[0].b), self.ctl.a_base.eq(stages[1].a)]

    def _summands(self, m, stages):
        """Where sums come from, and that new ones are kept."""
        ctl, op = self.ctl, self.op
        read, write = stages[READ], stages[RESULT]
        from_x = (op.resume if self.top else op.resume | op.ws) & read.start
        reads_x = Signal()
        m.d.comb += [
            reads_x.eq(from_x),
            ctl.from_x.eq(reads_x),
            ctl.fresh.eq(read.start & ~reads_x),
            ctl.w_raddr.eq(read.j),
            ctl.w_we.eq(write.compute),
            ctl.w_waddr.eq(write.j),
        ]
        return reads_x

    def _send(self, m, stages, reads_x):
        """Send own sums, then those from above; receive what the row above sends."""
        ctl, op, south = self.ctl, self.op, self.south
        read, new = stages[READ], stages[RESULT]

        # A pass of `pops` exchanged sums waits while the exchange memory serves a summand.
        left = Signal(len(op.pops) + 1)
        at, half = Signal(len(op.last_j)), Signal()
        filling, taking, ending = Signal(), Signal(), Signal()
        pop = Signal()
        m.d.comb += pop.eq((left != 0) & ~reads_x)
        with m.If(pop):
            m.d.sync += [left.eq(left - 1), at.eq(Mux(at == op.last_j, 0, at + 1))]
        with m.If(new.final & (new.j == op.last_j) & ~op.ws):
            m.d.sync += [left.eq(op.pops), at.eq(0), half.eq(new.half)]
            m.d.sync += [filling.eq(0), taking.eq(new.take), ending.eq(new.end)]
        with m.If(self.slot_valid & self.slot.fill):
            m.d.sync += [left.eq(op.pops + op.last_j + 1), at.eq(0), half.eq(self.slot.half)]
            m.d.sync += [filling.eq(1), taking.eq(self.slot.take), ending.eq(0)]

        m.d.comb += [
            south.valid.eq(new.final | pop),
            south.out.eq(new.final | (pop & ~filling)),
            south.addr.eq(Mux(pop, Cat(at, half), Cat(new.j, new.half))),
            ctl.south_x.eq(pop),
            ctl.x_raddr.eq(Mux(reads_x, Cat(read.j, read.half), Cat(at, half))),
        ]
        last_own = new.final & new.end & (op.ws | (op.pops == 0))
        m.d.comb += self.done.eq(last_own | (pop & ending & (left == 1)))

        if self.top:
            # Output-stationary, sums enter in step with those that leave. Weight-stationary, those
            # of the next slot enter as those of this one are used.
            m.d.comb += [
                ctl.x_we.eq(Mux(op.ws, read.begins, south.valid)),
                ctl.x_waddr.eq(Mux(op.ws, read.j, south.addr)),
                self.c_ready.eq(ctl.x_we & Mux(op.ws, read.take, Mux(pop, taking, new.take))),
            ]
        else:
            arrived = Signal(self.north.shape())
            m.d.sync += arrived.eq(self.north)
            m.d.comb += [ctl.x_we.eq(arrived.valid), ctl.x_waddr.eq(arrived.addr)]
