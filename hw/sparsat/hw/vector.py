"""VECTOR: the host does it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.instruction import fields_layout, queued_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.semaphores import TOKENS

FIELDS = fields_layout(Opcode.VECTOR)
QUEUED = queued_layout(Opcode.VECTOR)


class VectorEngine(wiring.Component):
    """Takes an instruction and its semaphores, and waits for the host.

    Members
    -------
    i : In(stream of queued_layout), tokens : Out(TOKENS)
    waiting : Out(1), op : Out
        The host is to do `op`, from the cycle after `started` on, ...
    acknowledge : In(1)
        ... until it has: that is the instruction's end. What it signals is given in that cycle, in
        which the next one may start.
    started, ended : Out(1)
    idle : Out(1), number : Out
        There is no instruction; the number of the last one.
    """

    i: In(stream.Signature(QUEUED))
    tokens: Out(TOKENS)
    waiting: Out(1)
    op: Out(FIELDS["op"].shape)
    acknowledge: In(1)
    started: Out(1)
    ended: Out(1)
    idle: Out(1)
    number: Out(QUEUED["number"].shape)

    def elaborate(self, platform):
        m = Module()
        x, tokens = Signal(FIELDS), self.tokens

        def start(wait):
            """Take the semaphores of `wait`, if they are there."""
            m.d.comb += [tokens.wait.eq(wait), self.started.eq(tokens.waited)]
            m.next = "WAIT"
            with m.If(tokens.waited):
                m.next = "HOST"

        def pop():
            m.d.comb += self.i.ready.eq(1)
            m.next = "IDLE"
            with m.If(self.i.valid):
                m.d.sync += [x.eq(self.i.payload.x), self.number.eq(self.i.payload.number)]
                start(self.i.payload.x.wait)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                pop()
            with m.State("WAIT"):
                start(x.wait)
            with m.State("HOST"):
                m.d.comb += [self.waiting.eq(1), self.ended.eq(self.acknowledge)]
                with m.If(self.acknowledge):
                    m.d.comb += tokens.give.eq(x.signal)
                    pop()
        m.d.comb += self.op.eq(x.op)
        return m
