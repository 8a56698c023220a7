"""What lies between memory and the scratchpads: program, semaphores, LOAD, STORE, bursts."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.axi import axi_signature, line_bits
from sparsat.hw.burst_words import (
    NUMBER_BITS,
    TAG,
    Requester,
    answer_layout,
    line_layout,
    request_layout,
)
from sparsat.hw.bursts import Bursts, block_bits
from sparsat.hw.config import SATConfig
from sparsat.hw.dispatch import Dispatcher
from sparsat.hw.fetch import Fetch
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import Error, queued_layout
from sparsat.hw.isa.instructions import Opcode, Sem
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.load import LoadA
from sparsat.hw.load_b import PLANES, LoadB, plane_ports
from sparsat.hw.load_walk import half_lines
from sparsat.hw.parts import Parts
from sparsat.hw.semaphores import ENGINES, TOKENS, Semaphores
from sparsat.hw.store import Store
from sparsat.hw.timing import QUEUE

LOADS = (Opcode.LOAD_A, Opcode.LOAD_B)
OTHERS = (Opcode.EXEC, Opcode.UPDATE, Opcode.VECTOR)
"""Engines that are connected from outside."""
FULL = {Opcode.LOAD_A: Sem.A_FULL, Opcode.LOAD_B: Sem.B_FULL}


class MemorySide(wiring.Component):
    """Runs the LOADs and STOREs of a program, and hands the others to the engines outside.

    After the first error no burst begins, nor while it is to `stop`.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        Of `SORE`, which says what is without.

    Members
    -------
    start, program, instructions : In
        See `Fetch`.
    blocks, drained
        See `Bursts`.
    stop : In(1)
    axi_<port> : Out(axi_signature)
    queue_<engine> : Out(stream of queued_layout), tokens_<engine> : In(TOKENS)
        Instructions for an engine outside, and its side of the semaphores.
    request_update, write_update : In(stream)
        Bursts of UPDATE, and the lines that they write.
    line, line_valid, written, written_tag : Out
        See `Bursts`.
    load_a_valid, load_a_half, load_a_line : Out
        Writes of `line` to A, see `LoadA`.
    load_b_<plane>_valid, _half, _line, _mask, _data : Out
        Writes to B, see `LoadB`.
    store_valid, store_half, store_row : Out, store_values : In(32 * cols)
        Reads of C, see `Store`.
    dispatched, <engine>_started, <engine>_ended : Out(1)
        An instruction goes to its queue, has its semaphores, has ended: each in order.
    <engine>_idle : Out(1), <engine>_number : Out(NUMBER_BITS)
        It has no instruction and none waits; the number of the last one. Of LOADs and STORE.
    number : Out(NUMBER_BITS), halted : Out(1), lacks : Out(engines)
        See `Dispatcher` and `Semaphores`.
    moving : Out(1)
        Something is on the way between memory and scratchpads.
    error : Out(Error), error_number : Out(NUMBER_BITS)
        The first error, and the instruction.
    """

    def __init__(self, *, config: SATConfig, parts: Parts | None = None):
        self.config, self._parts = config, parts
        ports = {
            "start": In(1),
            "program": In(line_bits(config)),
            "instructions": In(NUMBER_BITS),
            "blocks": In(block_bits(config)),
            "stop": In(1),
            "drained": Out(1),
            "request_update": In(stream.Signature(request_layout(config))),
            "write_update": In(stream.Signature(line_layout(config))),
            "line": Out(answer_layout(config)),
            "line_valid": Out(len(Requester)),
            "written": Out(len(Requester)),
            "written_tag": Out(TAG),
            "dispatched": Out(1),
            "number": Out(NUMBER_BITS),
            "halted": Out(1),
            "lacks": Out(len(ENGINES)),
            "moving": Out(1),
            "store_valid": Out(1),
            "store_half": Out(1),
            "store_row": Out(range(half_rows_c(config))),
            "store_values": In(32 * config.cols),
            "error": Out(Error),
            "error_number": Out(NUMBER_BITS),
        }
        ports |= {f"axi_{port}": Out(axi_signature(config)) for port in range(config.channels)}
        for engine in OTHERS:
            name = engine.name.lower()
            ports[f"queue_{name}"] = Out(stream.Signature(queued_layout(engine)))
            ports[f"tokens_{name}"] = In(TOKENS)
        ports |= {f"load_a_{port}": Out(1) for port in ("valid", "half")}
        ports["load_a_line"] = Out(range(half_lines(config, Opcode.LOAD_A)))
        for plane, index in PLANES.items():
            shapes = plane_ports(config, index=index)
            ports |= {f"load_b_{plane}_{port}": Out(shape) for port, shape in shapes.items()}
        for engine in (*LOADS, Opcode.STORE):
            name = engine.name.lower()
            ports |= {f"{name}_{port}": Out(1) for port in ("started", "ended", "idle")}
            ports[f"{name}_number"] = Out(NUMBER_BITS)
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
            self.number.eq(dispatcher.number),
            self.halted.eq(dispatcher.halted),
            self.lacks.eq(semaphores.lacks),
            bursts.blocks.eq(self.blocks),
            self.drained.eq(bursts.drained),
        ]
        connect(m, fetch.o, dispatcher.i)
        connect(m, fetch.request, bursts.request_fetch)
        self._lines(m, bursts, fetch, Requester.FETCH)
        for number in range(self.config.channels):
            connect(m, getattr(bursts, f"axi_{number}"), flipped(getattr(self, f"axi_{number}")))
        for name in ("line", "line_valid", "written", "written_tag"):
            m.d.comb += getattr(self, name).eq(getattr(bursts, name))
        for name in ("request_update", "write_update"):
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
        engines = [self._load_a(m, bursts), self._load_b(m, bursts), self._store(m, bursts)]
        chunks = []
        for opcode, engine in zip((*LOADS, Opcode.STORE), engines, strict=True):
            name = opcode.name.lower()
            m.submodules[name] = engine
            connect(m, queues[opcode].o, engine.i)
            connect(m, engine.tokens, getattr(semaphores, name))
            connect(m, engine.request, getattr(bursts, f"request_{name}"))
            for port in ("started", "ended"):
                m.d.comb += getattr(self, f"{name}_{port}").eq(getattr(engine, port))
            m.d.comb += [
                getattr(self, f"{name}_idle").eq(engine.idle & ~queues[opcode].o.valid),
                getattr(self, f"{name}_number").eq(engine.error_number),
            ]
            if opcode in LOADS:
                chunks.append(self._chunks(m, name, engine.tokens, FULL[opcode]))
        m.d.comb += self.moving.eq(~bursts.drained | Cat(chunks).any())
        self._errors(m, bursts, dispatcher, semaphores, engines)
        return m

    def _lines(self, m, bursts, engine, requester):
        m.d.comb += [
            engine.line_valid.eq(bursts.line_valid[requester]),
            engine.line.eq(bursts.line),
        ]

    def _load_a(self, m, bursts):
        load = LoadA(config=self.config)
        self._lines(m, bursts, load, Requester.LOAD_A)
        for port in ("valid", "half", "line"):
            m.d.comb += getattr(self, f"load_a_{port}").eq(getattr(load, f"write_{port}"))
        return load

    def _load_b(self, m, bursts):
        load = LoadB(config=self.config, parts=self._parts)
        self._lines(m, bursts, load, Requester.LOAD_B)
        for plane, index in PLANES.items():
            for port in plane_ports(self.config, index=index):
                name = f"{plane}_{port}"
                m.d.comb += getattr(self, f"load_b_{name}").eq(getattr(load, name))
        return load

    def _store(self, m, bursts):
        store = Store(config=self.config)
        connect(m, store.write, bursts.write_store)
        m.d.comb += [
            store.written.eq(bursts.written[Requester.STORE]),
            store.written_tag.eq(bursts.written_tag),
            store.values.eq(self.store_values),
        ]
        for port in ("valid", "half", "row"):
            m.d.comb += getattr(self, f"store_{port}").eq(getattr(store, f"read_{port}"))
        return store

    @staticmethod
    def _chunks(m, name, tokens, full):
        """How many chunks of a LOAD are on their way."""
        count = Signal(8, name=f"{name}_chunks")
        begun = (tokens.take != 0) & tokens.taken
        m.d.sync += count.eq(count + begun - tokens.give[full])
        return count

    def _errors(self, m, bursts, dispatcher, semaphores, engines):
        """Keep the first error; of several in one cycle, the first here."""
        found = [
            (dispatcher.error, dispatcher.number),
            *((engine.error, engine.error_number) for engine in engines),
            (bursts.error, bursts.error_number),
            (semaphores.overflow.any() * Error.SEMAPHORE, dispatcher.number),
        ]
        m.d.comb += bursts.stop.eq((self.error != Error.NONE) | self.stop)
        with m.If(self.error == Error.NONE):
            for code, number in reversed(found):
                with m.If(code != Error.NONE):
                    m.d.sync += [self.error.eq(code), self.error_number.eq(number)]
        with m.If(self.start):
            m.d.sync += self.error.eq(Error.NONE)
