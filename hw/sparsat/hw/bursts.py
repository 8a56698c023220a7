"""The way to memory: whose burst is next, and to whom what memory answers belongs."""

import functools
import operator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import AxiPort, axi_signature, command_layout, line_bits
from sparsat.hw.burst_words import (
    BURST_BITS,
    NUMBER_BITS,
    TAG,
    WRITERS,
    Requester,
    answer_layout,
    line_layout,
    request_layout,
)
from sparsat.hw.config import SATConfig
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import Error
from sparsat.hw.tally import Countdown, tally
from sparsat.hw.timing import BURST

OPEN = 256
"""Bursts of a kind that memory may owe an answer to, at most: more than its latency needs."""
WRITES = 16
"""Bursts whose lines are still to be moved, at most: more than `WRITE` needs."""
TO_MEMORY = 1
"""Cycles from the beginning of a burst to its address on the channels of the ports, ..."""
WRITE = 6
"""... or until its first line to write is taken, one more before that is on the channels, ..."""
FROM_MEMORY = 1
"""... and from a line, or a response, on the channels to its engine."""


def block_bits(config: SATConfig) -> int:
    """Bits of a number of bursts, from none to all of memory."""
    return line_bits(config) - BURST_BITS + 1


class Bursts(wiring.Component):
    """Arbiter between the engines and the memory ports, which work in lockstep.

    One burst at a time uses memory, a line per cycle. In the cycle in which it is free, the next
    requester in turn, after the one served last, has its burst begun: its request is ready. Reads
    are answered in order, and so are writes. While memory does not accept addresses or beats, or
    `OPEN` bursts lack their answers, no burst begins.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    stop : In(1)
        Begin no more bursts.
    blocks : In
        How many times `BURST` lines memory has. A burst beyond is an error and does not begin.
    request_<requester> : In(stream of request_layout)
    write_<writer> : In(stream of line_layout)
        The lines of its bursts to write, in order. The first one is taken `WRITE` cycles after the
        burst has begun, at the earliest, then one per cycle.
    line_valid : Out(5), line : Out(answer_layout)
        A line for a `Requester`, which must take it.
    written : Out(5), written_tag : Out(TAG)
        A burst of a `Requester` is in memory.
    error : Out(Error), error_number : Out(NUMBER_BITS)
        BUS: a port answered SLVERR or DECERR to a burst of that instruction. RANGE: its burst is
        not in memory.
    drained : Out(1)
        Memory owes no answer, nor is anything owed to it.
    axi_<port> : Out(axi_signature)
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        request = stream.Signature(request_layout(config))
        write = stream.Signature(line_layout(config))
        super().__init__(
            {f"request_{each.name.lower()}": In(request) for each in Requester}
            | {f"write_{each.name.lower()}": In(write) for each in WRITERS}
            | {f"axi_{port}": Out(axi_signature(config)) for port in range(config.channels)}
            | {
                "stop": In(1),
                "blocks": In(block_bits(config)),
                "line_valid": Out(len(Requester)),
                "line": Out(answer_layout(config)),
                "written": Out(len(Requester)),
                "written_tag": Out(TAG),
                "error": Out(Error),
                "error_number": Out(NUMBER_BITS),
                "drained": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        owner = StructLayout({"requester": Requester, "tag": TAG})
        m.submodules.readers = readers = Queue(shape=owner, depth=OPEN)
        m.submodules.writers = writers = Queue(shape=owner, depth=OPEN)
        ports = [AxiPort(config=self.config) for _ in range(self.config.channels)]
        for number, port in enumerate(ports):
            m.submodules[f"port_{number}"] = port
            axi = self._axi(number)
            for channel in ("ar", "aw", "w"):
                wiring.connect(m, getattr(port, channel), wiring.flipped(getattr(axi, channel)))
        write = StructLayout({"requester": Requester, "count": range(BURST + 1)})
        m.submodules.writes = writes = Queue(shape=write, depth=WRITES)
        room = Signal()
        m.d.comb += room.eq(
            Cat(queue.i.ready for queue in (readers, writers, writes)).all()
            & Cat(port.command.ready for port in ports).all()
        )
        begun, begun_write, chosen, request, outside = self._begin(m, room)
        for queue, begins in ((readers, begun & ~begun_write), (writers, begun_write)):
            m.d.comb += [
                queue.i.valid.eq(begins),
                queue.i.payload.requester.eq(chosen),
                queue.i.payload.tag.eq(request.tag),
            ]
        m.d.comb += [
            writes.i.valid.eq(begun_write),
            writes.i.payload.requester.eq(chosen),
            writes.i.payload.count.eq(request.count),
        ]
        for port in ports:
            m.d.comb += port.command.valid.eq(begun)
            for name in command_layout(self.config).members:
                m.d.comb += port.command.payload[name].eq(request[name])
        moving = self._write(m, ports, writes)
        self._answer(m, readers, writers)
        self._errors(m, readers, writers, request, outside)
        queues = (readers, writers, writes)
        idle = (
            Cat(~queue.o.valid for queue in queues).all() & Cat(port.idle for port in ports).all()
        )
        m.d.sync += self.drained.eq(idle & ~begun & ~moving)
        return m

    def _axi(self, number: int):
        return getattr(self, f"axi_{number}")

    def _begin(self, m, room):
        """Whether a burst begins in this cycle, one to write, whose, and which; whether it would,
        but is not in memory."""
        requests = [getattr(self, f"request_{each.name.lower()}") for each in Requester]
        valid, first, inside = (Signal(len(Requester)) for _ in range(3))
        turn = Signal(len(Requester), init=1 << max(Requester))  # of the one served last
        left, busy, free = Signal(range(BURST)), Signal(), Signal()
        begins, begun, begun_write = Signal(len(Requester)), Signal(), Signal()
        single = Signal(len(Requester))
        chosen, request = Signal(Requester), Signal(request_layout(self.config))
        m.d.comb += [
            valid.eq(Cat(each.valid for each in requests)),
            first.eq(_first_after(turn, valid)),
            inside.eq(Cat(each.payload.line >> BURST_BITS < self.blocks for each in requests)),
            single.eq(Cat(each.payload.count == 1 for each in requests)),
            free.eq(room & ~busy & ~self.stop),
            begins.eq(Mux(free, first & inside, 0)),
            begun.eq(begins.any()),
            begun_write.eq((begins & Cat(each.payload.write for each in requests)).any()),
            chosen.eq(_selected(first, Requester)),
            request.eq(_selected(first, (each.payload for each in requests))),
        ]
        for number, each in enumerate(requests):
            m.d.comb += each.ready.eq(begins[number])
        m.d.sync += [left.eq(left - 1), busy.eq(busy & (left != 1))]
        with m.If(begun):
            m.d.sync += [turn.eq(first), left.eq(request.count - 1)]
            m.d.sync += busy.eq(~(first & single).any())
        return begun, begun_write, chosen, request, free & (first & ~inside).any()

    def _write(self, m, ports, writes):
        """Move the lines of the bursts in `writes`, as late as `WRITE` asks for. Returns whether
        there are some to move."""
        begun, delayed = writes.i.valid & writes.i.ready, Signal(WRITE - 2)
        pop, moves, moving, owner = Signal(), Signal(), Signal(), Signal(Requester)
        left = Countdown(range(BURST + 1), "left")
        ready = Cat(port.beat.ready for port in ports).all()
        due = tally(m, delayed[-1], pop, WRITES)
        m.d.sync += delayed.eq(Cat(begun, delayed))
        m.d.comb += [
            pop.eq(due[0] & (~moving | (left.last & moves))),
            writes.o.ready.eq(pop),
        ]
        for each in WRITERS:
            line = getattr(self, f"write_{each.name.lower()}")
            with m.If(owner == each):
                m.d.comb += [
                    line.ready.eq(moving & ready),
                    moves.eq(line.valid & line.ready),
                ]
                for number, port in enumerate(ports):
                    m.d.comb += self._part(port.beat.payload, line.payload, number)
        for port in ports:
            m.d.comb += [port.beat.valid.eq(moves), port.beat.payload.last.eq(left.last)]
        with m.If(moves):
            m.d.sync += [*left.step(), moving.eq(~left.last)]
        with m.If(pop):
            burst = writes.o.payload
            m.d.sync += [*left.begin(burst.count), moving.eq(1), owner.eq(burst.requester)]
        return moving

    def _part(self, beat, line, number):
        """A port's part of a line."""
        bits = self.config.axi_bits
        data, strobe = ArrayLayout(bits, self.config.channels), bits // 8
        parts = ArrayLayout(strobe, self.config.channels)
        return [
            beat.data.eq(data(line.data)[number]),
            beat.strb.eq(parts(line.strobe)[number]),
        ]

    def _answer(self, m, readers, writers):
        """Join the ports: a line, or response, is there when all of them have their part."""
        axis = [self._axi(number) for number in range(self.config.channels)]
        read, response = Signal(), Signal()
        m.d.comb += [
            read.eq(Cat(axi.r.valid for axi in axis).all()),
            response.eq(Cat(axi.b.valid for axi in axis).all()),
        ]
        for axi in axis:
            m.d.comb += [axi.r.ready.eq(read), axi.b.ready.eq(response)]
        last = axis[0].r.payload.last
        m.d.comb += [readers.o.ready.eq(read & last), writers.o.ready.eq(response)]
        m.d.sync += [
            self.line_valid.eq(read << readers.o.payload.requester),
            self.line.data.eq(Cat(axi.r.payload.data for axi in axis)),
            self.line.last.eq(last),
            self.line.tag.eq(readers.o.payload.tag),
            self.written.eq(response << writers.o.payload.requester),
            self.written_tag.eq(writers.o.payload.tag),
        ]

    def _errors(self, m, readers, writers, request, outside):
        axis = [self._axi(number) for number in range(self.config.channels)]
        m.d.sync += self.error.eq(Error.NONE)
        with m.If(outside):
            m.d.sync += [self.error.eq(Error.RANGE), self.error_number.eq(request.tag.number)]
        for queue, answers in (
            (readers, [(axi.r.ready, axi.r.payload.resp) for axi in axis]),
            (writers, [(axi.b.ready, axi.b.payload) for axi in axis]),
        ):
            with m.If(Cat(taken & response[1] for taken, response in answers).any()):
                number = queue.o.payload.tag.number
                m.d.sync += [self.error.eq(Error.BUS), self.error_number.eq(number)]


def _first_after(turn, valid):
    """One-hot, which bit of `valid` comes first, going round from the one after that of `turn`."""
    numbers = range(len(valid))

    def before(one, other):
        """Whether one comes before the other."""
        turns = [t for t in numbers if (one - t - 1) % len(valid) < (other - t - 1) % len(valid)]
        return Cat(turn[t] for t in turns).any()

    rivals = (Cat(valid[j] & before(j, k) for j in numbers if j != k).any() for k in numbers)
    return Cat(valid[k] & ~rival for k, rival in zip(numbers, rivals, strict=True))


def _selected(which, values):
    """The value whose bit of `which` is set, in bits."""
    each = (Value.cast(value) for value in values)
    return functools.reduce(
        operator.or_, (Mux(bit, value, 0) for bit, value in zip(which, each, strict=True))
    )
