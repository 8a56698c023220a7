"""SAT, the whole accelerator: registers, memory ports, and the core between them."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Signal,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import ADDRESS_BITS, line_bits
from sparsat.hw.axi_lite import axi_lite_signature
from sparsat.hw.burst_words import BURST_BITS
from sparsat.hw.config import SATConfig
from sparsat.hw.control import Control
from sparsat.hw.core import Core
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES
from sparsat.hw.parts import Parts
from sparsat.hw.register_map import ADDRESS_BITS as LITE_BITS
from sparsat.hw.registers import Registers
from sparsat.hw.semaphores import ENGINES

MASTER_BITS = 64
"""Of the addresses on the memory ports."""
PAGE_BITS = 12
"""The lowest bits of MEMORY_BASE count as 0: no burst of AXI crosses a page."""
CACHE = 0b0011
"""AWCACHE, ARCACHE: normal memory, no allocation, may be modified on the way."""
PROGRAM = ("PROGRAM", "INSTRUCTIONS", "MEMORY_BYTES")
"""Registers that say what to run."""
EVENTS = (
    "begins",
    "dispatched",
    *(f"{engine.name.lower()}_{port}" for engine in ENGINES for port in ("started", "ended")),
)
"""The bits of port `events`: a program begins in the next cycle, and what `Core` says."""


def master_ports(config: SATConfig, port: int) -> dict[str, wiring.Member]:
    """AXI4 as the requesting side sees it, by the standard's names."""
    address = {"id": 1, "addr": MASTER_BITS, "len": 8, "size": 3, "burst": 2}
    address |= {"lock": 1, "cache": 4, "prot": 3, "qos": 4}
    outs = {f"{kind}{name}": width for kind in ("ar", "aw") for name, width in address.items()}
    outs |= {"wdata": config.axi_bits, "wstrb": config.axi_bits // 8, "wlast": 1}
    ins = {"rid": 1, "rdata": config.axi_bits, "rresp": 2, "rlast": 1, "bid": 1, "bresp": 2}
    for kind in ("ar", "aw", "w"):
        outs[f"{kind}valid"] = ins[f"{kind}ready"] = 1
    for kind in ("r", "b"):
        ins[f"{kind}valid"] = outs[f"{kind}ready"] = 1
    ports = {name: Out(width) for name, width in outs.items()}
    ports |= {name: In(width) for name, width in ins.items()}
    return {f"m_axi_{port}_{name}": member for name, member in ports.items()}


def sat_ports(config: SATConfig) -> dict[str, wiring.Member]:
    """Ports by name, see `SAT`."""
    ports = {
        f"s_axil_{name}": member.flip()
        for name, member in axi_lite_signature(LITE_BITS).members.items()
    }
    for port in range(config.channels):
        ports |= master_ports(config, port)
    return ports | {"interrupt": Out(1), "events": Out(len(EVENTS))}


class SAT(wiring.Component):
    """The accelerator.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `core.part_makers`.

    Members
    -------
    s_axil_* : In
        The registers, see `register_map`.
    m_axi_<port>_* : Out
        Memory.
    interrupt : Out(1)
        Stays while an enabled interrupt is pending.
    events : Out
        For test benches and logic analysers: bits in the order of `EVENTS`.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        super().__init__(sat_ports(config))

    def elaborate(self, platform):
        m = Module()
        # The core has a reset of its own.
        m.domains.core = domain = ClockDomain()
        core = DomainRenamer("core")(Core(config=self.config, parts=self.parts))
        m.submodules.core = core
        m.submodules.control = control = Control()
        m.submodules.registers = registers = Registers(config=self.config)
        m.d.comb += [
            domain.clk.eq(ClockSignal()),
            domain.rst.eq(ResetSignal() | control.core_reset),
            self.interrupt.eq(registers.interrupt),
            self.events.eq(Cat(control.core_start, *(getattr(core, name) for name in EVENTS[1:]))),
        ]
        for name, member in axi_lite_signature(LITE_BITS).members.items():
            own, inner = getattr(self, f"s_axil_{name}"), getattr(registers.bus, name)
            m.d.comb += inner.eq(own) if member.flow is Out else own.eq(inner)
        taken = self._take(m, control, registers)
        for port in range(self.config.channels):
            self._master(m, port, getattr(core, f"axi_{port}"), taken[f"MEMORY_BASE_{port}"])
        self._program(m, core, control, taken)
        wrong = taken["PROGRAM"] + (control.error_number << INSTRUCTION_BYTES.bit_length() - 1)
        m.d.sync += registers.error_address.eq(Mux(control.error != Error.NONE, wrong, 0))
        m.d.comb += [
            control.start.eq(registers.start),
            control.reset.eq(registers.reset),
            core.acknowledge.eq(registers.acknowledge),
        ]
        self._status(m, core, control, registers)
        return m

    def _take(self, m, control, registers):
        """By name, what the host has said of the program that runs; it may say other things of the
        next one already."""
        taken = {}
        for name in PROGRAM + tuple(f"MEMORY_BASE_{n}" for n in range(self.config.channels)):
            said = getattr(registers, name.lower())
            taken[name] = Signal.like(said, name=f"taken_{name.lower()}")
            with m.If(control.take):
                m.d.sync += taken[name].eq(said)
        return taken

    def _master(self, m, port, axi, base):
        """The standard's names for one memory port, whose memory begins at `base`."""

        def pin(name):
            return getattr(self, f"m_axi_{port}_{name}")

        page, bursts = Signal(MASTER_BITS - PAGE_BITS, name=f"page_{port}"), (axi.ar, axi.aw)
        m.d.comb += page.eq(base[PAGE_BITS:])
        for kind, channel in zip(("ar", "aw"), bursts, strict=True):
            address = channel.payload.addr
            whole = Cat(address[:PAGE_BITS], (address[PAGE_BITS:] + page)[: len(page)])
            m.d.comb += [pin(f"{kind}addr").eq(whole), pin(f"{kind}cache").eq(CACHE)]
            for name in ("len", "size", "burst"):
                m.d.comb += pin(kind + name).eq(channel.payload[name])
        for name, field in (("data", "data"), ("strb", "strb"), ("last", "last")):
            m.d.comb += pin("w" + name).eq(axi.w.payload[field])
        for kind in ("ar", "aw", "w"):
            channel = getattr(axi, kind)
            m.d.comb += [
                pin(f"{kind}valid").eq(channel.valid),
                channel.ready.eq(pin(f"{kind}ready")),
            ]
        for name in ("data", "resp", "last"):
            m.d.comb += axi.r.payload[name].eq(pin("r" + name))
        m.d.comb += axi.b.payload.eq(pin("bresp"))
        for kind in ("r", "b"):
            channel = getattr(axi, kind)
            m.d.comb += [
                channel.valid.eq(pin(f"{kind}valid")),
                pin(f"{kind}ready").eq(channel.ready),
            ]

    def _program(self, m, core, control, taken):
        """What the core is to run."""
        line = ADDRESS_BITS - line_bits(self.config)
        block = line + BURST_BITS
        program, instructions, size = (taken[name] for name in PROGRAM)
        m.d.comb += [
            core.program.eq(program >> line),
            core.instructions.eq(instructions),
            core.blocks.eq(size >> block),
            control.misfit.eq(
                program[:block].any()
                | program[ADDRESS_BITS:].any()
                | size[:block].any()
                | (size > 1 << ADDRESS_BITS)
                | (instructions == 0)
                | (instructions >> len(core.instructions) != 0)
            ),
            core.start.eq(control.core_start),
            core.stop.eq(control.stop),
        ]

    def _status(self, m, core, control, registers):
        """What the machine says to the host."""
        gap = Signal(8 - len(control.state))
        m.d.comb += [
            control.done.eq(core.done),
            control.drained.eq(core.drained),
            control.waiting.eq(core.waiting),
            control.core_error.eq(core.error),
            control.core_number.eq(core.error_number),
            registers.status.eq(Cat(control.state, gap, core.overflow, control.refused)),
            registers.error.eq(control.error),
            registers.error_instruction.eq(control.error_number),
            registers.vector_op.eq(core.op),
            registers.end.eq(control.ended),
            registers.vector.eq(core.vector_started),
        ]
        # The first cycle is number 0.
        counts, later = Signal(), Signal()
        m.d.comb += counts.eq(control.running & ~core.done)
        m.d.sync += later.eq(control.running)
        counters = {"cycles": later}
        for place, engine in enumerate(ENGINES):
            counters[f"stall_{engine.name.lower()}"] = core.lacks[place]
        for name, happens in counters.items():
            value = Signal.like(getattr(registers, name))
            m.d.comb += getattr(registers, name).eq(value)
            m.d.sync += value.eq(value + (happens & counts))
            with m.If(control.core_start):
                m.d.sync += value.eq(0)
