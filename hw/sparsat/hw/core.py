"""The accelerator without its registers: everything that runs a program."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw import exec as exec_engine
from sparsat.hw import sore
from sparsat.hw import update as update_engine
from sparsat.hw.axi import axi_signature, line_bits
from sparsat.hw.burst_words import NUMBER_BITS, Requester
from sparsat.hw.bursts import block_bits
from sparsat.hw.config import SATConfig
from sparsat.hw.deadlock import Deadlock
from sparsat.hw.exec import ExecEngine
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load_b import PLANES
from sparsat.hw.memory_side import MemorySide
from sparsat.hw.parts import Makers, Parts
from sparsat.hw.semaphores import ENGINES
from sparsat.hw.update import Update
from sparsat.hw.vector import FIELDS, VectorEngine


def part_makers(config: SATConfig) -> Makers:
    """What is repeated, by Verilog module name."""
    makers: dict = {}
    for each in (sore, exec_engine, update_engine):
        makers |= each.part_makers(config)
    return makers


class Core(wiring.Component):
    """Runs a program, once after each reset.

    After an error, or while it is to `stop`, no burst begins and EXEC takes no more tokens.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `part_makers`.

    Members
    -------
    start, program, instructions : In
        See `Fetch`.
    blocks, drained
        See `Bursts`.
    stop : In(1)
    axi_<port> : Out(axi_signature)
    waiting, op : Out, acknowledge : In(1)
        See `VectorEngine`.
    dispatched, <engine>_started, <engine>_ended : Out(1)
        An instruction goes to its queue, has its semaphores, has ended: each in order.
    lacks : Out(engines)
        Who waits for semaphores, in the order of `ENGINES`.
    overflow : Out(1)
        An UPDATE met a gradient that is not finite.
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
            "blocks": In(block_bits(config)),
            "stop": In(1),
            "drained": Out(1),
            "waiting": Out(1),
            "op": Out(FIELDS["op"].shape),
            "acknowledge": In(1),
            "dispatched": Out(1),
            "lacks": Out(len(ENGINES)),
            "overflow": Out(1),
            "done": Out(1),
            "error": Out(Error),
            "error_number": Out(NUMBER_BITS),
        }
        ports |= {f"axi_{port}": Out(axi_signature(config)) for port in range(config.channels)}
        for engine in ENGINES:
            ports |= {f"{engine.name.lower()}_{port}": Out(1) for port in ("started", "ended")}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = MemorySide(config=self.config, parts=self.parts)
        m.submodules.exec = exec_ = ExecEngine(config=self.config, parts=self.parts)
        m.submodules.vector = vector = VectorEngine()
        m.submodules.update = update = Update(config=self.config, parts=self.parts)
        outside: dict[str, Any] = {"exec": exec_, "update": update, "vector": vector}
        for name, engine in outside.items():
            connect(m, getattr(memory, f"queue_{name}"), engine.i)
            connect(m, engine.tokens, getattr(memory, f"tokens_{name}"))
        for channel in range(self.config.channels):
            axi = f"axi_{channel}"
            connect(m, flipped(getattr(self, axi)), getattr(memory, axi))
        for name in ("start", "program", "instructions", "blocks"):
            m.d.comb += getattr(memory, name).eq(getattr(self, name))
        for name in ("drained", "dispatched", "lacks"):
            m.d.comb += getattr(self, name).eq(getattr(memory, name))
        m.d.comb += [
            self.waiting.eq(vector.waiting),
            self.op.eq(vector.op),
            vector.acknowledge.eq(self.acknowledge),
            memory.stop.eq((self.error != Error.NONE) | self.stop),
            exec_.stop.eq(memory.stop),
        ]
        self._scratchpads(m, memory, exec_)
        self._update(m, memory, update)
        for port in ("started", "ended"):
            for name in ("load_a", "load_b", "store"):
                m.d.comb += getattr(self, f"{name}_{port}").eq(getattr(memory, f"{name}_{port}"))
            for name, engine in outside.items():
                m.d.comb += getattr(self, f"{name}_{port}").eq(getattr(engine, port))
        deadlock = self._ends(m, memory, exec_, update, vector)
        self._errors(
            m,
            (memory.error, memory.error_number),
            (exec_.error, exec_.error_number),
            (update.error, update.error_number),
            (deadlock.found * Error.DEADLOCK, deadlock.number),
        )
        return m

    def _scratchpads(self, m, memory, exec_):
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
        ]

    def _update(self, m, memory, update):
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

    def _ends(self, m, memory, exec_, update, vector):
        """Whether all is done, or nothing can go on."""
        m.submodules.deadlock = deadlock = Deadlock()
        idle = {
            Opcode.EXEC: exec_.idle & ~memory.queue_exec.valid,
            Opcode.UPDATE: update.idle & ~memory.queue_update.valid,
            Opcode.VECTOR: vector.idle & ~memory.queue_vector.valid,
        }
        number = {
            Opcode.EXEC: exec_.error_number,
            Opcode.UPDATE: update.error_number,
            Opcode.VECTOR: vector.number,
        }
        lacks = {Opcode.EXEC: exec_.waits & ~exec_.idle}
        for place, engine in enumerate(ENGINES):
            name = engine.name.lower()
            if engine not in idle:
                idle[engine] = getattr(memory, f"{name}_idle")
                number[engine] = getattr(memory, f"{name}_number")
            m.d.comb += [
                deadlock.idle[place].eq(idle[engine]),
                deadlock.numbers[place].eq(number[engine]),
                deadlock.lacks[place].eq(lacks.get(engine, memory.lacks[place])),
            ]
        m.d.comb += [
            deadlock.following.eq(memory.number),
            self.done.eq(memory.halted & Cat(idle.values()).all()),
            deadlock.clear.eq(memory.moving | memory.dispatched | self.done | self.stop),
        ]
        return deadlock

    def _errors(self, m, *found):
        """Keep the first error; of several in one cycle, the first here."""
        with m.If(self.error == Error.NONE):
            for code, number in reversed(found):
                with m.If(code != Error.NONE):
                    m.d.sync += [self.error.eq(code), self.error_number.eq(number)]
