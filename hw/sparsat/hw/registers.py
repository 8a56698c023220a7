"""The registers behind AXI4-Lite."""

from enum import IntFlag

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.axi_lite import AxiLiteSlave, axi_lite_signature
from sparsat.hw.config import SATConfig
from sparsat.hw.register_map import (
    ADDRESS_BITS,
    ID,
    VERSION,
    Control,
    Interrupt,
    config_id,
    register_map,
)


def _names(flags: type[IntFlag]) -> dict[str, int]:
    """The bits by the names of ports."""
    return {name.lower(): flag.value for name, flag in flags.__members__.items()}


class Registers(wiring.Component):
    """See `register_map`. What is written takes effect in the next cycle.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    bus : In(axi_lite_signature)
    start, acknowledge, reset : Out(1)
        Bits of CONTROL, for one cycle.
    <register> : Out
        What the host wrote, of registers with access rw; by its name in lower case.
    <register> : In
        What the host reads, of all others but ID, VERSION, CONFIG.
    end, vector : In(1)
        What INTERRUPT_PENDING notes.
    interrupt : Out(1)
        An interrupt that is enabled is pending.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        self.map = register_map(config)
        self._fixed = {"ID": ID, "VERSION": VERSION, "CONFIG": config_id(config)}
        ports = {"bus": In(axi_lite_signature(ADDRESS_BITS)), "interrupt": Out(1)}
        ports |= {name: Out(1) for name in _names(Control)}
        ports |= {name: In(1) for name in _names(Interrupt)}
        for name, register in self.map.items():
            if register.access == "rw":
                ports[name.lower()] = Out(register.bits)
            elif register.access == "r" and name not in self._fixed:
                ports[name.lower()] = In(register.bits)
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = AxiLiteSlave(address_bits=ADDRESS_BITS)
        connect(m, flipped(self.bus), slave.bus)
        mask, ones = Signal(32), Signal(32)
        m.d.comb += [
            mask.eq(Cat(strobe.replicate(8) for strobe in slave.write_strobe)),
            ones.eq(slave.write_data & mask),
        ]
        values = self._values(m)
        with m.Switch(slave.read_address):
            for name, register in self.map.items():
                for offset, low in register.words():
                    with m.Case(offset):
                        word = values[name][low : low + 32]
                        m.d.comb += [slave.readable.eq(1), slave.read_data.eq(word)]
        with m.Switch(slave.write_address):
            for name, register in self.map.items():
                for offset, low in register.words():
                    if register.access != "r":
                        with m.Case(offset):
                            m.d.comb += slave.writable.eq(1)
                            word = values[name][low : low + 32]
                            with m.If(slave.write):
                                self._write(m, register.access, word, ones, mask)
        return m

    def _values(self, m):
        """Each register as the host reads it; CONTROL's bits go back to 0 at once."""
        values = {}
        for name, register in self.map.items():
            is_port = name.lower() in self.signature.members
            own = getattr(self, name.lower()) if is_port else Signal(register.bits, name=name)
            values[name] = own
        m.d.comb += [values[name].eq(value) for name, value in self._fixed.items()]
        control, pending = values["CONTROL"], values["INTERRUPT_PENDING"]
        m.d.sync += control.eq(0)
        for name, bit in _names(Control).items():
            m.d.comb += getattr(self, name).eq((control & bit).any())
        for name, bit in _names(Interrupt).items():
            with m.If(getattr(self, name)):
                m.d.sync += pending.eq(pending | bit)
        m.d.comb += self.interrupt.eq((pending & self.interrupt_enable).any())
        return values

    @staticmethod
    def _write(m, access, word, ones, mask):
        if access == "rc":
            m.d.sync += word.eq(word & ~ones)
        else:
            m.d.sync += word.eq((word & ~mask) | ones)
