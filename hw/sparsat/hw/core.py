"""The accelerator without its registers: everything that runs a program."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.axi import axi_signature, line_bits
from sparsat.hw.burst_words import NUMBER_BITS
from sparsat.hw.config import SATConfig
from sparsat.hw.exec import ExecEngine
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load_b import PLANES
from sparsat.hw.memory_side import MemorySide
from sparsat.hw.parts import Parts
from sparsat.hw.semaphores import ENGINES

RUNNERS = tuple(engine for engine in ENGINES if engine not in (Opcode.UPDATE, Opcode.VECTOR))


class Core(wiring.Component):
    """Runs programs.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `exec.part_makers`.

    Members
    -------
    start, program, instructions : In
        See `Fetch`.
    axi_<port> : Out(axi_signature)
    dispatched, <engine>_started, <engine>_ended : Out(1)
        An instruction goes to its queue, has its semaphores, has ended: each in order.
    done : Out(1)
        HALT is reached, and nothing is under way.
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
            self.done.eq(memory.done & exec_.idle & ~memory.queue_exec.valid),
        ]
        for engine in RUNNERS:
            for port in ("started", "ended"):
                name = f"{engine.name.lower()}_{port}"
                source = getattr(exec_, port) if engine is Opcode.EXEC else getattr(memory, name)
                m.d.comb += getattr(self, name).eq(source)
        self._errors(m, memory, exec_)
        return m

    def _errors(self, m, memory, exec_):
        found = Signal(Error)
        number = Signal(NUMBER_BITS)
        m.d.comb += [self.error.eq(found), self.error_number.eq(number)]
        with m.If(found == Error.NONE):
            with m.If(memory.error != Error.NONE):
                m.d.sync += [found.eq(memory.error), number.eq(memory.error_number)]
            with m.Elif(exec_.error != Error.NONE):
                m.d.sync += [found.eq(exec_.error), number.eq(exec_.error_number)]
