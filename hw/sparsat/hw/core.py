"""The accelerator without its registers: everything that runs a program."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw import exec as exec_engine
from sparsat.hw import update as update_engine
from sparsat.hw.axi import axi_signature, line_bits
from sparsat.hw.burst_words import NUMBER_BITS, Requester
from sparsat.hw.config import SATConfig
from sparsat.hw.exec import ExecEngine
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load_b import PLANES
from sparsat.hw.memory_side import MemorySide
from sparsat.hw.parts import Makers, Parts
from sparsat.hw.semaphores import ENGINES
from sparsat.hw.update import Update

RUNNERS = tuple(engine for engine in ENGINES if engine is not Opcode.VECTOR)


def part_makers(config: SATConfig) -> Makers:
    """What is repeated, by Verilog module name."""
    return {**exec_engine.part_makers(config), **update_engine.part_makers(config)}


class Core(wiring.Component):
    """Runs programs.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `part_makers`.

    Members
    -------
    start, program, instructions : In
        See `Fetch`.
    axi_<port> : Out(axi_signature)
    dispatched, <engine>_started, <engine>_ended : Out(1)
        An instruction goes to its queue, has its semaphores, has ended: each in order.
    done : Out(1)
        HALT is reached, and nothing is under way.
    overflow : Out(1)
        Since `start`, an UPDATE met a gradient that is infinite or NaN.
    error : Out(Error), error_number : Out(NUMBER_BITS)
        The first error, and the instruction.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        ports = {
            "start": In(1),
            "program": In(line_bits(config)),
            "instructions": In(NUMBER_BITS),
            "dispatched": Out(1),
            "done": Out(1),
            "overflow": Out(1),
            "error": Out(Error),
            "error_number": Out(NUMBER_BITS),
        }
        ports |= {f"axi_{port}": Out(axi_signature(config)) for port in range(config.channels)}
        for engine in RUNNERS:
            ports |= {f"{engine.name.lower()}_{port}": Out(1) for port in ("started", "ended")}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = MemorySide(config=self.config)
        m.submodules.exec = exec_ = ExecEngine(config=self.config, parts=self.parts)
        connect(m, memory.queue_exec, exec_.i)
        connect(m, exec_.tokens, memory.tokens_exec)
        update = self._update(m, memory)
        for channel in range(self.config.channels):
            axi = f"axi_{channel}"
            connect(m, flipped(getattr(self, axi)), getattr(memory, axi))
        for name in ("start", "program", "instructions"):
            m.d.comb += getattr(memory, name).eq(getattr(self, name))
        m.d.comb += [
            exec_.a_write.eq(memory.load_a_valid),
            exec_.a_half.eq(memory.load_a_half),
            exec_.a_line.eq(memory.load_a_line),
            exec_.a_data.eq(memory.line.data),
        ]
        for plane in PLANES:
            port = getattr(exec_, plane)
            for name in ("valid", "half", "line", "mask"):
                m.d.comb += port[name].eq(getattr(memory, f"load_b_{plane}_{name}"))
            data = getattr(memory, f"load_b_{plane}_data")
            m.d.comb += getattr(exec_, f"{plane}_data").eq(data)
        m.d.comb += [
            exec_.store.valid.eq(memory.store_valid),
            exec_.store.half.eq(memory.store_half),
            exec_.store.row.eq(memory.store_row),
            memory.store_values.eq(exec_.stored),
            exec_.stop.eq(self.error != Error.NONE),
            self.dispatched.eq(memory.dispatched),
            self.done.eq(
                memory.done
                & (exec_.idle & ~memory.queue_exec.valid)
                & (update.idle & ~memory.queue_update.valid)
            ),
        ]
        own = {Opcode.EXEC: exec_, Opcode.UPDATE: update}
        for engine in RUNNERS:
            for port in ("started", "ended"):
                name = f"{engine.name.lower()}_{port}"
                source = getattr(own[engine], port) if engine in own else getattr(memory, name)
                m.d.comb += getattr(self, name).eq(source)
        self._errors(m, memory, exec_, update)
        return m

    def _update(self, m, memory):
        m.submodules.update = update = Update(config=self.config, parts=self.parts)
        connect(m, memory.queue_update, update.i)
        connect(m, update.tokens, memory.tokens_update)
        connect(m, update.request, memory.request_update)
        connect(m, update.write, memory.write_update)
        m.d.comb += [
            update.line_valid.eq(memory.line_valid[Requester.UPDATE]),
            update.line.eq(memory.line),
            update.written.eq(memory.written[Requester.UPDATE]),
            update.written_tag.eq(memory.written_tag),
        ]
        with m.If(update.overflow):
            m.d.sync += self.overflow.eq(1)
        with m.If(self.start):
            m.d.sync += self.overflow.eq(0)
        return update

    def _errors(self, m, memory, exec_, update):
        found = Signal(Error)
        number = Signal(NUMBER_BITS)
        m.d.comb += [self.error.eq(found), self.error_number.eq(number)]
        with m.If(found == Error.NONE):
            with m.If(memory.error != Error.NONE):
                m.d.sync += [found.eq(memory.error), number.eq(memory.error_number)]
            with m.Elif(exec_.error != Error.NONE):
                m.d.sync += [found.eq(exec_.error), number.eq(exec_.error_number)]
            with m.Elif(update.error != Error.NONE):
                m.d.sync += [found.eq(update.error), number.eq(update.error_number)]
