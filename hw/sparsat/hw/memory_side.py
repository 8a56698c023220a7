"""What lies between memory and the scratchpads: program, semaphores, LOAD engines, bursts."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.axi import axi_signature, line_bits
from sparsat.hw.bursts import (
    NUMBER_BITS,
    TAG,
    WRITERS,
    Bursts,
    Requester,
    answer_layout,
    line_layout,
    request_layout,
)
from sparsat.hw.config import SATConfig
from sparsat.hw.dispatch import Dispatcher
from sparsat.hw.fetch import Fetch
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import Error, queued_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load import Load
from sparsat.hw.load_walk import half_lines
from sparsat.hw.semaphores import ENGINES, TOKENS, Semaphores
from sparsat.hw.timing import QUEUE

LOADS = (Opcode.LOAD_A, Opcode.LOAD_B)
OTHERS = tuple(engine for engine in ENGINES if engine not in LOADS)
"""Engines that are connected from outside."""


class MemorySide(wiring.Component):
    """Runs the LOADs of a program, and hands its other instructions to the engines outside.

    After the first error no burst begins.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    start, program, instructions : In
        See `Fetch`.
    axi_<port> : Out(axi_signature)
    queue_<engine> : Out(stream of queued_layout), tokens_<engine> : In(TOKENS)
        Instructions for an engine outside, and its side of the semaphores.
    request_<writer>, write_<writer> : In(stream)
        Bursts of STORE and UPDATE and the lines they write.
    line, line_valid, written, written_tag : Out
        See `Bursts`.
    <load>_valid, <load>_index, <load>_half, <load>_line : Out
        Writes of `line` to the scratchpads, see `Load`.
    dispatched, <load>_started, <load>_ended : Out(1)
        An instruction goes to its queue, has its semaphores, has ended: each in order.
    done : Out(1)
        HALT is reached and no LOAD is under way or waits.
    error : Out(Error), error_number : Out(NUMBER_BITS)
        The first error, and the instruction.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        writers = [each.name.lower() for each in WRITERS]
        request, line = (
            stream.Signature(layout(config)) for layout in (request_layout, line_layout)
        )
        ports = {
            "start": In(1),
            "program": In(line_bits(config)),
            "instructions": In(NUMBER_BITS),
            "line": Out(answer_layout(config)),
            "line_valid": Out(len(Requester)),
            "written": Out(len(Requester)),
            "written_tag": Out(TAG),
            "dispatched": Out(1),
            "done": Out(1),
            "error": Out(Error),
            "error_number": Out(NUMBER_BITS),
        }
        ports |= {f"axi_{port}": Out(axi_signature(config)) for port in range(config.channels)}
        ports |= {f"request_{name}": In(request) for name in writers}
        ports |= {f"write_{name}": In(line) for name in writers}
        for engine in OTHERS:
            name = engine.name.lower()
            ports[f"queue_{name}"] = Out(stream.Signature(queued_layout(engine)))
            ports[f"tokens_{name}"] = In(TOKENS)
        for load in LOADS:
            name, lines = load.name.lower(), half_lines(config, load)
            ports |= {f"{name}_{port}": Out(1) for port in ("valid", "index", "half")}
            ports |= {f"{name}_{port}": Out(1) for port in ("started", "ended")}
            ports[f"{name}_line"] = Out(range(lines))
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(config=self.config)
        m.submodules.dispatcher = dispatcher = Dispatcher()
        m.submodules.semaphores = semaphores = Semaphores()
        m.submodules.bursts = bursts = Bursts(config=self.config)
        m.d.comb += [
            fetch.start.eq(self.start),
            fetch.program.eq(self.program),
            fetch.instructions.eq(self.instructions),
            fetch.number.eq(dispatcher.number),
            dispatcher.start.eq(self.start),
            self.dispatched.eq(dispatcher.dispatched),
        ]
        connect(m, fetch.o, dispatcher.i)
        connect(m, fetch.request, bursts.request_fetch)
        self._lines(m, bursts, fetch, Requester.FETCH)
        for port in range(self.config.channels):
            connect(m, getattr(bursts, f"axi_{port}"), flipped(getattr(self, f"axi_{port}")))
        for name in ("line", "line_valid", "written", "written_tag"):
            m.d.comb += getattr(self, name).eq(getattr(bursts, name))
        for writer in WRITERS:
            for kind in ("request", "write"):
                name = f"{kind}_{writer.name.lower()}"
                connect(m, flipped(getattr(self, name)), getattr(bursts, name))

        queues: dict[Opcode, Queue] = {
            engine: Queue(shape=queued_layout(engine), depth=QUEUE, refill=True)
            for engine in ENGINES
        }
        for engine, queue in queues.items():
            name = engine.name.lower()
            m.submodules[f"queue_{name}"] = queue
            connect(m, getattr(dispatcher, f"o_{name}"), queue.i)
        for engine in OTHERS:
            name = engine.name.lower()
            connect(m, queues[engine].o, flipped(getattr(self, f"queue_{name}")))
            connect(m, flipped(getattr(self, f"tokens_{name}")), getattr(semaphores, name))
        loads = [self._load(m, load, queues[load], semaphores, bursts) for load in LOADS]
        idle = [load.idle & ~queues[load.opcode].o.valid for load in loads]
        m.d.comb += self.done.eq(dispatcher.halted & idle[0] & idle[1])
        self._errors(m, bursts, dispatcher, semaphores, loads)
        return m

    def _lines(self, m, bursts, engine, requester):
        m.d.comb += [
            engine.line_valid.eq(bursts.line_valid[requester]),
            engine.line.eq(bursts.line),
        ]

    def _load(self, m, opcode, queue, semaphores, bursts):
        name = opcode.name.lower()
        m.submodules[name] = load = Load(config=self.config, opcode=opcode)
        connect(m, queue.o, load.i)
        connect(m, load.tokens, getattr(semaphores, name))
        connect(m, load.request, getattr(bursts, f"request_{name}"))
        self._lines(m, bursts, load, Requester[opcode.name])
        for port in ("valid", "index", "half", "line"):
            m.d.comb += getattr(self, f"{name}_{port}").eq(getattr(load, f"write_{port}"))
        for port in ("started", "ended"):
            m.d.comb += getattr(self, f"{name}_{port}").eq(getattr(load, port))
        return load

    def _errors(self, m, bursts, dispatcher, semaphores, loads):
        """Keep the first error; of several in one cycle, the first here."""
        found = [
            (dispatcher.error, dispatcher.number),
            *((load.error, load.error_number) for load in loads),
            (bursts.error * Error.BUS, bursts.error_number),
            (semaphores.overflow.any() * Error.SEMAPHORE, dispatcher.number),
        ]
        m.d.comb += bursts.stop.eq(self.error != Error.NONE)
        with m.If(self.error == Error.NONE):
            for code, number in reversed(found):
                with m.If(code != Error.NONE):
                    m.d.sync += [self.error.eq(code), self.error_number.eq(number)]
        with m.If(self.start):
            m.d.sync += self.error.eq(Error.NONE)
