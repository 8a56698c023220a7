"""What the walkers through an EXEC's loops share: chunks, products, sums of products."""

from collections.abc import Iterable, Sequence

from amaranth.hdl import Module, Shape, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.exec_sequencer import CHUNK, told_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Advance, Opcode
from sparsat.hw.later import later
from sparsat.hw.loops import Level

AHEAD = 4
"""Chunks that a walker may be behind the sequencer."""
SETTLE = 4
"""Cycles that a walker has for constants of its instruction."""


FACTOR = 17
"""Bits that a multiplier of DSP48E2 takes beside a wide number, without a sign."""


class WalkChunks(wiring.Component):
    """Chunks one after another for a walker, which may still be in an instruction when the next one
    is decoded.

    Parameters
    ----------
    fields : sequence of str
        Those of EXEC that the walker uses.
    flight : int
        Cycles after an instruction's last step in which it still does.
    ahead : bool
        Whether it goes on with the next chunk of a resumed operation before that one's tokens are
        taken: the array wants initial sums two tiles ahead, and no token brings them.

    Members
    -------
    decoded, chunk_valid, chunk, x : In
        Those of `ExecSequencer`.
    own : Out(StructLayout)
        The fields of the instruction that is walked, from `start` on.
    start : Out(1)
        A chunk begins: its loops run from the next cycle on. That may be the cycle in which the one
        before it is `done`: no cycle is lost where operands are read at the full rate.
    current : Out(CHUNK)
        It, from the next cycle on.
    first, first_inner : Out(1)
        With `start`: it is the instruction's first one; i is 0.
    done : In(1)
        The chunk has been walked.
    """

    def __init__(self, *, fields: Sequence[str], flight: int, ahead: bool = False):
        self.flight, self.ahead = flight, ahead
        every = fields_layout(Opcode.EXEC)
        needed = dict.fromkeys(("outer", "inner", *fields))
        super().__init__(
            {
                **told_ports(),
                "own": Out(StructLayout({name: every[name].shape for name in needed})),
                "start": Out(1),
                "current": Out(CHUNK),
                "first": Out(1),
                "first_inner": Out(1),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(shape=CHUNK, depth=AHEAD)
        m.d.comb += [queue.i.valid.eq(self.chunk_valid), queue.i.payload.eq(self.chunk)]
        outer, inner = Signal(self.own.outer.shape()), Signal(self.own.inner.shape())
        pending, wait = Signal(), Signal(range(self.flight + SETTLE))
        last, was_last = Signal(), Signal()  # of the chunks to come, and under way
        m.d.comb += last.eq((outer == 1) & (inner == 1))
        begin = self._begin(m, queue, last, inner)
        with m.If(self.decoded):
            m.d.sync += pending.eq(1)
        with m.FSM():
            with m.State("FREE"):
                with m.If(pending):
                    m.d.sync += pending.eq(self.decoded)
                    m.d.sync += [self.own[name].eq(self.x[name]) for name in self._names()]
                    m.d.sync += [outer.eq(self.x.outer), inner.eq(self.x.inner)]
                    m.d.sync += [self.first.eq(1), self.first_inner.eq(1), wait.eq(SETTLE)]
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.start.eq(begin)
                with m.If(begin):
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.done):
                    with m.If(was_last):
                        m.d.sync += wait.eq(self.flight)
                        m.next = "FLIGHT"
                    with m.Else():
                        m.d.comb += self.start.eq(begin)
                        with m.If(~begin):
                            m.next = "READY"
            with m.State("FLIGHT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "FREE"
        with m.If(self.start):
            m.d.sync += [self.first.eq(0), self.first_inner.eq(inner == 1), was_last.eq(last)]
            m.d.sync += inner.eq(inner - 1)
            with m.If(inner == 1):
                m.d.sync += [inner.eq(self.own.inner), outer.eq(outer - 1)]
        return m

    def _begin(self, m, queue, last, inner):
        """Whether a chunk may begin; what is known of it."""
        arrived = queue.o.payload
        if not self.ahead:
            m.d.comb += queue.o.ready.eq(self.start)
            with m.If(self.start):
                m.d.sync += self.current.eq(arrived)
            return queue.o.valid
        # Chunks that began before their tokens were taken: what comes of them later is dropped.
        on, owed = Signal(), Signal(range(2 * AHEAD))
        begin, half_ends = Signal(), Signal()
        with_outer = self.own.c_advance == Advance.OUTER
        m.d.comb += [
            half_ends.eq(last | (with_outer & (inner == 1))),
            begin.eq(on | (queue.o.valid & (owed == 0))),
            queue.o.ready.eq((owed != 0) | (self.start & ~on)),
        ]
        drops = queue.o.valid & (owed != 0)
        m.d.sync += owed.eq(owed + (self.start & on) - drops)
        with m.If(self.start):
            with m.If(on):
                m.d.sync += [on.eq(~half_ends), self.current.continues.eq(1)]
            with m.Else():
                m.d.sync += [self.current.eq(arrived), on.eq(arrived.resumed & arrived.goes_on)]
        return begin

    def _names(self) -> Iterable[str]:
        return (name for name, _ in self.own.shape())


def product_base(m: Module, shape, levels: dict[str, Level], steps: Sequence[ValueLike]):
    """Where the product that is walked begins: it moves by `steps` with each turn of the loops
    `product0` and `product1`. Returns it, and a function that sets it.
    """
    base, of_row = Signal(shape), Signal(shape)
    with m.If(levels["product0"].ends):
        m.d.sync += base.eq(base + steps[0])
        with m.If(levels["product0"].last):
            m.d.sync += [base.eq(of_row + steps[1]), of_row.eq(of_row + steps[1])]

    def begin(origin):
        m.d.sync += [base.eq(origin), of_row.eq(origin)]

    return base, begin


def total(m: Module, shape, terms: Sequence[ValueLike], latency: int):
    """The sum of `terms`, modulo `shape`, in a tree of adders: a register after each, `latency`
    cycles in all."""
    terms = list(terms)
    spent = 0
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        new = []
        for pair in pairs:
            part = Signal(shape)
            m.d.sync += part.eq(sum(pair[1:], pair[0]))
            new.append(part)
        terms, spent = new, spent + 1
    if spent > latency:
        raise ValueError(f"{spent} cycles are needed, not {latency}")
    return later(m, terms[0], latency - spent)


def product(m: Module, shape, digit, step):
    """`digit` · `step` modulo `shape`, two cycles later: multipliers of up to 17 bits of `digit`
    with their registers, and the sum of these."""
    step, width = Value.cast(step), Shape.cast(shape).width
    if len(step) > width:
        step = step[:width].as_signed()  # the multiplier takes 27 bits
    parts = [Signal(shape) for _ in range(0, len(digit), FACTOR)]
    second = Signal(shape)
    m.d.sync += [
        *(part.eq(digit[FACTOR * n :][:FACTOR] * step) for n, part in enumerate(parts)),
        second.eq(sum(part << FACTOR * n for n, part in enumerate(parts))),
    ]
    return second
