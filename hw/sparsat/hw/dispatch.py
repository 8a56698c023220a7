"""The dispatcher: each instruction to its engine's queue."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import NUMBER_BITS
from sparsat.hw.fetch import INSTRUCTION_BITS
from sparsat.hw.instruction import Error, fields_layout, queued_layout
from sparsat.hw.isa.encoding import OPCODE_BITS
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.isa.semaphores import GIVEN_BY, TAKEN_BY
from sparsat.hw.semaphores import ENGINES

_CUTS = sorted(
    {
        *range(0, INSTRUCTION_BITS, 32),
        *(fields_layout(opcode).size for opcode in Opcode),
        INSTRUCTION_BITS,
    }
)
PARTS = list(pairwise(_CUTS))
"""From which bit to which: parts of an instruction, of up to 32 bits, of which no field of any
opcode and what is beyond its last one share one."""


class Dispatcher(wiring.Component):
    """Decodes an instruction in the cycle after it has come, and hands it out in the next one, at
    the earliest.

    It takes one per cycle. Where a queue is full it waits, and all that come later, too. It ends
    with HALT, and stops with the error OPCODE at an unknown opcode or where bits beyond the last
    field are set, with FIELD where a mask names a semaphore that is not the engine's.

    Members
    -------
    start : In(1)
        Begin, with number 0.
    i : In(stream of INSTRUCTION_BITS)
    o_<engine> : Out(stream of queued_layout)
    number : Out(NUMBER_BITS)
        How many instructions have been handed out.
    dispatched : Out(1)
        One is, in this cycle; HALT, too.
    halted : Out(1)
        HALT was the last one.
    error : Out(Error)
        The dispatcher has stopped, at instruction `number`.
    """

    def __init__(self):
        outputs = {
            f"o_{engine.name.lower()}": Out(stream.Signature(queued_layout(engine)))
            for engine in ENGINES
        }
        super().__init__(
            {
                "start": In(1),
                "i": In(stream.Signature(INSTRUCTION_BITS)),
                "number": Out(NUMBER_BITS),
                "dispatched": Out(1),
                "halted": Out(1),
                "error": Out(Error),
            }
            | outputs
        )

    def elaborate(self, platform):
        m = Module()
        came, there = Signal(INSTRUCTION_BITS), Signal()  # what is decoded
        parts = Signal(len(PARTS))  # of it: whether bits are set
        word, valid, fault = Signal(INSTRUCTION_BITS), Signal(), Signal(Error)
        goes_on = ~valid | self.dispatched
        m.d.comb += self.i.ready.eq(~there | goes_on)
        with m.If(self.i.ready):
            m.d.sync += [came.eq(self.i.payload), there.eq(self.i.valid)]
            m.d.sync += parts.eq(Cat(self.i.payload[a:b].any() for a, b in PARTS))
        found = _fault(m, came, parts)
        with m.If(goes_on):
            m.d.sync += [word.eq(came), fault.eq(found), valid.eq(there)]

        goes, opcode = Signal(), word[:OPCODE_BITS]
        m.d.comb += goes.eq(valid & (fault == Error.NONE) & ~self.halted)
        with m.If(opcode == Opcode.HALT):
            m.d.comb += self.dispatched.eq(goes)
            m.d.sync += self.halted.eq(self.halted | goes)
        for engine in ENGINES:
            o = getattr(self, f"o_{engine.name.lower()}")
            m.d.comb += [
                o.payload.number.eq(self.number),
                o.payload.x.eq(word[: fields_layout(engine).size]),
            ]
            with m.If(opcode == engine):
                m.d.comb += [o.valid.eq(goes), self.dispatched.eq(goes & o.ready)]
        with m.If(self.dispatched):
            m.d.sync += self.number.eq(self.number + 1)
        with m.If(valid & ~self.halted):
            m.d.sync += self.error.eq(fault)
        with m.If(self.start):
            m.d.sync += [self.number.eq(0), self.halted.eq(0), self.error.eq(0)]
            m.d.sync += [there.eq(0), valid.eq(0)]
        return m


def _fault(m, word, parts):
    """What is wrong with an instruction whose `PARTS` have bits set or not."""
    fault = Signal(Error)
    with m.Switch(word[:OPCODE_BITS]):
        for opcode in Opcode:
            with m.Case(opcode):
                fields = fields_layout(opcode)(word[: fields_layout(opcode).size])
                wait = sum(1 << sem for sem in TAKEN_BY[opcode])
                signal = sum(1 << sem for sem in GIVEN_BY[opcode])
                foreign = (fields.wait & ~wait) | (fields.signal & ~signal)
                rest = [n for n, (begin, _) in enumerate(PARTS) if begin >= len(fields.as_value())]
                beyond = Cat(parts[n] for n in rest).any()
                m.d.comb += fault.eq(
                    Mux(beyond, Error.OPCODE, Mux(foreign != 0, Error.FIELD, Error.NONE))
                )
        with m.Default():
            m.d.comb += fault.eq(Error.OPCODE)
    return fault
