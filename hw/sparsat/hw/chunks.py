"""What LOAD, STORE and UPDATE have in common: instructions from the queue, their chunks' tokens."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.bursts import OPEN
from sparsat.hw.instruction import Error, fields_layout, queued_layout
from sparsat.hw.isa.instructions import Opcode, Sem
from sparsat.hw.semaphores import SEMS
from sparsat.hw.timing import ROOM, SETUP


class Chunks(wiring.Component):
    """Takes an instruction, its semaphores and its first chunk's token in one cycle if all are
    there, and lets each chunk run from `SETUP` cycles after its token on.

    Parameters
    ----------
    opcode : Opcode
    token : Sem
        What a chunk takes, if anything.

    Members
    -------
    i : In(stream of queued_layout)
    wait, take : Out(SEMS), waited, taken : In(1)
        See `semaphores.TOKENS`.
    begin : Out(1)
        An instruction is taken from `i`.
    x : Out(fields_layout), number : Out
        It, and its number, from the next cycle on.
    fault : In(Error)
        What is wrong with `x`, `SETUP` - 2 cycles after `begin`: it does not run.
    hold : In(1)
        Take no instruction.
    failure : In(Error)
        What went wrong with lines of `x`: it stops.
    setup, run : Out(1)
        The cycle after a chunk's token; it runs.
    outside : In(1)
        Instead of running it stops, with RANGE.
    full, end : In(1)
        The chunk, the instruction with it, runs for the last cycle.
    started : Out(1), ended : In(1)
        An instruction has its semaphores; all of one has been done.
    idle : Out(1)
        None is under way.
    error : Out(Error)
        The engine has stopped at instruction `number`.
    """

    def __init__(self, *, opcode: Opcode, token: Sem | None):
        self.token = token
        queued = queued_layout(opcode)
        super().__init__(
            {
                "i": In(stream.Signature(queued)),
                "wait": Out(SEMS),
                "waited": In(1),
                "take": Out(SEMS),
                "taken": In(1),
                "begin": Out(1),
                "x": Out(fields_layout(opcode)),
                "number": Out(queued["number"].shape),
                "fault": In(Error),
                "hold": In(1),
                "failure": In(Error),
                "setup": Out(1),
                "run": Out(1),
                "outside": In(1),
                "full": In(1),
                "end": In(1),
                "started": Out(1),
                "ended": In(1),
                "idle": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        left, fault, running = Signal(range(SETUP)), Signal(Error), Signal()
        m.d.sync += [left.eq(left - 1), fault.eq(self.fault)]
        with m.If(self.begin):
            m.d.sync += [self.x.eq(self.i.payload.x), self.number.eq(self.i.payload.number)]

        def start(wait):
            """Take the semaphores of `wait`, and then the chunk's token, if they are there."""
            m.d.comb += [self.wait.eq(wait), self.started.eq(self.waited)]
            m.next = "WAIT"
            with m.If(self.waited):
                chunk()

        def chunk():
            if self.token is not None:
                m.d.comb += self.take.eq(1 << self.token)
            m.d.sync += left.eq(SETUP - 2)
            m.next = "CHUNK"
            with m.If(self.taken):
                m.next = "SETUP"

        def stop(error):
            m.d.sync += self.error.eq(error)
            m.next = "STOPPED"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(~self.hold), self.begin.eq(self.i.valid & ~self.hold)]
                with m.If(self.begin):
                    start(self.i.payload.x.wait)
            with m.State("WAIT"):
                start(self.x.wait)
            with m.State("CHUNK"):
                chunk()
            with m.State("SETUP"):
                m.d.comb += self.setup.eq(left == SETUP - 2)
                with m.If(left == 0):
                    m.d.sync += running.eq(1)
                    m.next = "RUN"
                    with m.If(fault != Error.NONE):
                        m.d.sync += running.eq(0)
                        stop(fault)
            with m.State("RUN"):
                with m.If(self.outside):
                    stop(Error.RANGE)
                with m.Elif(self.end):
                    m.next = "IDLE"
                with m.Elif(self.full):
                    m.next = "CHUNK"
                m.d.sync += running.eq(~(self.outside | self.full))
            with m.State("STOPPED"):
                pass
        m.d.comb += self.run.eq(running & ~self.outside)
        with m.If((self.error == Error.NONE) & (self.failure != Error.NONE)):
            m.d.sync += self.error.eq(self.failure)
        # One that runs, those whose bursts are asked for, those in memory.
        under_way = Signal(range(1 + ROOM + OPEN + 1))
        m.d.sync += under_way.eq(under_way + self.begin - self.ended)
        m.d.comb += self.idle.eq(fsm.ongoing("IDLE") & (under_way == 0))
        return m


def connect_chunks(m, engine, chunks: Chunks) -> None:
    """Wire the ports that an engine has like its `chunks`."""
    wiring.connect(m, wiring.flipped(engine.i), chunks.i)
    m.d.comb += [
        engine.tokens.wait.eq(chunks.wait),
        chunks.waited.eq(engine.tokens.waited),
        engine.tokens.take.eq(chunks.take),
        chunks.taken.eq(engine.tokens.taken),
        engine.started.eq(chunks.started),
        chunks.ended.eq(engine.ended),
        engine.idle.eq(chunks.idle),
        engine.error.eq(chunks.error),
        engine.error_number.eq(chunks.number),
    ]
