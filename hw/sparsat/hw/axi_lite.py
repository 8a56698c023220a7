"""An AXI4-Lite slave of 32 bits in front of registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

OKAY, SLVERR = 0, 2
WORD_BYTES = 4


def axi_lite_signature(address_bits: int) -> wiring.Signature:
    """AXI4-Lite as the requesting side sees it, by the standard's names."""
    requests = {"awaddr": address_bits, "awprot": 3, "wdata": 32, "wstrb": 4}
    requests |= {"araddr": address_bits, "arprot": 3}
    answers = {"bresp": 2, "rdata": 32, "rresp": 2}
    channels = {"aw": (Out, In), "w": (Out, In), "b": (In, Out), "ar": (Out, In), "r": (In, Out)}
    ports = {name: Out(width) for name, width in requests.items()}
    ports |= {name: In(width) for name, width in answers.items()}
    for name, (valid, ready) in channels.items():
        ports |= {f"{name}valid": valid(1), f"{name}ready": ready(1)}
    return wiring.Signature(ports)


class AxiLiteSlave(wiring.Component):
    """Takes a word to write, or to read, when the answer to the one before is gone.

    Address and data to write come in any order. Both kinds go on beside each other; each takes
    three cycles where nobody waits.

    Parameters
    ----------
    address_bits : int

    Members
    -------
    bus : In(axi_lite_signature)
    write : Out(1), write_address : Out, write_data : Out(32), write_strobe : Out(4)
        A word is written in this cycle, ...
    writable : In(1)
        ... if there is one to write at that address, else the answer is SLVERR.
    read_address : Out, readable : In(1), read_data : In(32)
        What is read at an address; in the same cycle.
    """

    def __init__(self, *, address_bits: int):
        super().__init__(
            {
                "bus": In(axi_lite_signature(address_bits)),
                "write": Out(1),
                "write_address": Out(address_bits),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "writable": In(1),
                "read_address": Out(address_bits),
                "readable": In(1),
                "read_data": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus

        def hold(channel, **payload):
            """Take what comes on a channel, and keep it until `done`, which is returned with
            whether something is there."""
            there, done = Signal(name=f"{channel}_there"), Signal(name=f"{channel}_done")
            m.d.comb += getattr(bus, f"{channel}ready").eq(~there)
            with m.If(getattr(bus, f"{channel}valid") & ~there):
                m.d.sync += there.eq(1)
                m.d.sync += [own.eq(getattr(bus, name)) for name, own in payload.items()]
            with m.If(done):
                m.d.sync += there.eq(0)
            return there, done

        address, address_done = hold("aw", awaddr=self.write_address)
        data, data_done = hold("w", wdata=self.write_data, wstrb=self.write_strobe)
        asked, asked_done = hold("ar", araddr=self.read_address)
        m.d.comb += [
            self.write.eq(address & data & ~bus.bvalid),
            address_done.eq(self.write),
            data_done.eq(self.write),
            asked_done.eq(asked & ~bus.rvalid),
        ]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(SLVERR)]
            with m.If(self.writable):
                m.d.sync += bus.bresp.eq(OKAY)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(asked_done):
            m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(SLVERR), bus.rdata.eq(0)]
            with m.If(self.readable):
                m.d.sync += [bus.rresp.eq(OKAY), bus.rdata.eq(self.read_data)]
        return m
