"""A queue of a few words between two streams."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """Words come out in order, the first of them one cycle after it has entered.

    Parameters
    ----------
    shape : ShapeLike
    depth : int
        Words it holds: a power of two.
    refill : bool
        Whether a full queue takes a word in the cycle in which one leaves. Then `i.ready` depends
        on `o.ready` in the same cycle, else it comes from a register.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    """

    def __init__(self, *, shape: ShapeLike, depth: int, refill: bool = False):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth is {depth}, it must be a power of two from 2")
        self.shape, self.depth, self.refill = shape, depth, refill
        words = stream.Signature(shape)
        super().__init__({"i": In(words), "o": Out(words)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        full, last_room, last_word = Signal(), Signal(), Signal()
        into, out = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full | (self.o.ready & self.refill)),
            into.eq(self.i.valid & self.i.ready),
            out.eq(self.o.valid & self.o.ready),
            last_room.eq((write.addr + 1)[: len(write.addr)] == read.addr),
            last_word.eq((read.addr + 1)[: len(read.addr)] == write.addr),
            write.data.eq(self.i.payload),
            write.en.eq(into),
            self.o.payload.eq(read.data),
        ]
        with m.If(into):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(out):
            m.d.sync += read.addr.eq(read.addr + 1)
        with m.If(into & ~out):
            m.d.sync += [self.o.valid.eq(1), full.eq(last_room)]
        with m.Elif(out & ~into):
            m.d.sync += [self.o.valid.eq(~last_word), full.eq(0)]
        return m
