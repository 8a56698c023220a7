"""FETCH: the program from memory, as a stream of instructions."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import line_bits
from sparsat.hw.burst_words import NUMBER_BITS, answer_layout, request_bits, request_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES
from sparsat.hw.timing import BURST, DISPATCH, FETCH_BURSTS

INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES


class Fetch(wiring.Component):
    """Asks for the program burst by burst, into a buffer of `FETCH_BURSTS` bursts.

    It asks for one when all instructions that begin in the bursts before the last one are handed
    out. An instruction is at `o` `DISPATCH` - 2 cycles after its last line is in the buffer.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    start : In(1), program : In, instructions : In(NUMBER_BITS)
        Begin with so many instructions from line `program` on, a multiple of `BURST`. The first
        burst is asked for in the next cycle, from which on `program` must not change.
    request : Out(stream of request_layout)
    line_valid : In(1), line : In(answer_layout)
    o : Out(stream of INSTRUCTION_BITS)
    number : In(NUMBER_BITS)
        How many instructions have been handed out.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "program": In(line_bits(config)),
                "instructions": In(NUMBER_BITS),
                "request": Out(stream.Signature(request_layout(config))),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
                "o": Out(stream.Signature(INSTRUCTION_BITS)),
                "number": In(NUMBER_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lines = INSTRUCTION_BYTES // self.config.line_bytes
        self._ask(m, lines)
        depth = FETCH_BURSTS * BURST // lines
        m.submodules.buffer = buffer = Memory(shape=INSTRUCTION_BITS, depth=depth, init=[])
        write = buffer.write_port(granularity=8 * self.config.line_bytes)
        read = buffer.read_port()

        place, arrived = Signal(range(FETCH_BURSTS * BURST)), Signal(NUMBER_BITS)
        part = place % lines
        m.d.comb += [
            write.addr.eq(place // lines),
            write.data.eq(Cat(self.line.data for _ in range(lines))),
            write.en.eq(self.line_valid << part),
        ]
        # What has just arrived is counted later, so that it is not read before its time.
        delayed = Signal(DISPATCH - 3)
        m.d.sync += delayed.eq(Cat(self.line_valid & (part == lines - 1), delayed))
        m.d.sync += [place.eq(place + self.line_valid), arrived.eq(arrived + delayed[-1])]

        following, there = Signal(NUMBER_BITS), Signal()
        m.d.comb += [
            there.eq(following != arrived),
            read.addr.eq(following),
            read.en.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(read.data),
        ]
        with m.If(read.en):
            m.d.sync += [self.o.valid.eq(there), following.eq(following + there)]
        with m.If(self.start):
            m.d.sync += [place.eq(0), arrived.eq(0), following.eq(0), self.o.valid.eq(0)]
        return m

    def _ask(self, m, lines):
        burst, current = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        left = Signal(NUMBER_BITS + lines.bit_length() - 1)
        count = Signal(range(BURST + 1))
        line = (self.program + burst * BURST)[: len(self.program)]
        payload = request_bits(self.config, {"number": self.number}, line=line, count=count)
        m.d.comb += [
            current.eq(self.number // (BURST // lines)),
            self.request.valid.eq((left != 0) & (burst - current < FETCH_BURSTS)),
            self.request.payload.eq(payload),
            count.eq(Mux(left < BURST, left, BURST)),
        ]
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [burst.eq(burst + 1), left.eq(left - count)]
        with m.If(self.start):
            m.d.sync += [burst.eq(0), left.eq(self.instructions * lines)]
