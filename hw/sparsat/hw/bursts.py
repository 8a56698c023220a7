"""The way to memory: whose burst is next, and to whom what memory answers belongs."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import AxiPort, axi_signature, command_layout, line_bits
from sparsat.hw.burst_words import (
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
from sparsat.hw.timing import BURST

OPEN = 256
"""Bursts of a kind that memory may owe an answer to, at most: more than its latency needs."""
BURST_BITS = (BURST - 1).bit_length()
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
        begun, chosen, request, outside = self._begin(m, room)
        for queue, kind in ((readers, ~request.write), (writers, request.write)):
            m.d.comb += [
                queue.i.valid.eq(begun & kind),
                queue.i.payload.requester.eq(chosen),
                queue.i.payload.tag.eq(request.tag),
            ]
        m.d.comb += [
            writes.i.valid.eq(begun & request.write),
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
        """Whether a burst begins in this cycle, whose, and which; whether it would, but is not in
        memory."""
        requests = [getattr(self, f"request_{each.name.lower()}") for each in Requester]
        left = Signal(range(BURST))
        turn, chosen = Signal(Requester, init=max(Requester)), Signal(Requester)
        begun, request = Signal(), Signal(request_layout(self.config))
        with m.Switch(turn):
            for last in Requester:
                with m.Case(last):
                    after = [*list(Requester)[last + 1 :], *list(Requester)[: last + 1]]
                    for each in reversed(after):
                        with m.If(requests[each].valid):
                            m.d.comb += chosen.eq(each)
        places = [each.payload.line >> BURST_BITS for each in requests]
        inside, turns = Signal(len(Requester)), Signal()
        m.d.comb += [
            inside.eq(Cat(place < self.blocks for place in places)),
            turns.eq(Cat(each.valid for each in requests).any() & room & (left == 0) & ~self.stop),
            begun.eq(turns & inside.bit_select(chosen, 1)),
            request.eq(Array(each.payload for each in requests)[chosen]),
        ]
        for each in Requester:
            m.d.comb += requests[each].ready.eq(begun & (chosen == each))
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(begun):
            m.d.sync += [turn.eq(chosen), left.eq(request.count - 1)]
        return begun, chosen, request, turns & ~begun

    def _write(self, m, ports, writes):
        """Move the lines of the bursts in `writes`, as late as `WRITE` asks for. Returns whether
        there are some to move."""
        begun, delayed = writes.i.valid & writes.i.ready, Signal(WRITE - 2)
        due, pop = Signal(range(WRITES + 1)), Signal()
        left, owner, moves = Signal(range(BURST + 1)), Signal(Requester), Signal()
        ready = Cat(port.beat.ready for port in ports).all()
        m.d.sync += [delayed.eq(Cat(begun, delayed)), due.eq(due + delayed[-1] - pop)]
        m.d.comb += [
            pop.eq((due != 0) & ((left == 0) | ((left == 1) & moves))),
            writes.o.ready.eq(pop),
        ]
        for each in WRITERS:
            line = getattr(self, f"write_{each.name.lower()}")
            with m.If(owner == each):
                m.d.comb += [
                    line.ready.eq((left != 0) & ready),
                    moves.eq(line.valid & line.ready),
                ]
                for number, port in enumerate(ports):
                    m.d.comb += self._part(port.beat.payload, line.payload, number)
        for port in ports:
            m.d.comb += [port.beat.valid.eq(moves), port.beat.payload.last.eq(left == 1)]
        with m.If(moves):
            m.d.sync += left.eq(left - 1)
        with m.If(pop):
            m.d.sync += [left.eq(writes.o.payload.count), owner.eq(writes.o.payload.requester)]
        return left != 0

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
