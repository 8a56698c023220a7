"""One memory port: the requesting side of AXI4, for bursts of whole beats."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.fifo import Queue
from sparsat.hw.timing import BURST

INCREMENTING = 1
"""Type of a burst: each beat lies behind the one before."""
ADDRESS_BITS = 40

ADDRESS = StructLayout({"addr": ADDRESS_BITS, "len": 8, "size": 3, "burst": 2})
"""What the address channels carry: the first byte in this port, the number of beats less one, the
logarithm of a beat's bytes, the type. There is one ID, so transactions of a kind end in order."""
RESPONSE = 2
"""Bits of a response; the upper one says SLVERR or DECERR."""


def beat_layout(config: SATConfig) -> StructLayout:
    """A beat to write: its bytes, which of them count, whether it is the burst's last."""
    return StructLayout({"data": config.axi_bits, "strb": config.axi_bits // 8, "last": 1})


def axi_signature(config: SATConfig) -> wiring.Signature:
    """AXI4 as the requesting side sees it, one stream per channel.

    A wrapper gives the signals the standard's names, and the constants (ID, cache, protection)
    their values.
    """
    read = StructLayout({"data": config.axi_bits, "resp": RESPONSE, "last": 1})
    return wiring.Signature(
        {
            "ar": Out(stream.Signature(ADDRESS)),
            "r": In(stream.Signature(read)),
            "aw": Out(stream.Signature(ADDRESS)),
            "w": Out(stream.Signature(beat_layout(config))),
            "b": In(stream.Signature(RESPONSE)),
        }
    )


def line_bits(config: SATConfig) -> int:
    """Bits of a line's number, the upper bits of its address."""
    return ADDRESS_BITS - (config.line_bytes - 1).bit_length()


def command_layout(config: SATConfig) -> StructLayout:
    """A burst to `write`, or read, of `count` lines from `line` on."""
    return StructLayout({"line": line_bits(config), "count": range(BURST + 1), "write": 1})


class AxiPort(wiring.Component):
    """Commands and beats on their way to the channels of a port: one of each per cycle.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    command : In(stream of command_layout)
        On the address channel one cycle later, if that is free.
    beat : In(stream of beat_layout)
        The port's part of a line, for each line of the commands to write, in order.
    ar, aw, w : Out, channels of axi_signature
    idle : Out(1)
        Nothing waits to be accepted.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(command_layout(config))),
                "beat": In(stream.Signature(beat_layout(config))),
                "ar": Out(stream.Signature(ADDRESS)),
                "aw": Out(stream.Signature(ADDRESS)),
                "w": Out(stream.Signature(beat_layout(config))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = Queue(shape=ADDRESS, depth=2)
        m.submodules.writes = writes = Queue(shape=ADDRESS, depth=2)
        m.submodules.beats = beats = Queue(shape=beat_layout(self.config), depth=2)
        wiring.connect(m, reads.o, wiring.flipped(self.ar))
        wiring.connect(m, writes.o, wiring.flipped(self.aw))
        wiring.connect(m, wiring.flipped(self.beat), beats.i)
        wiring.connect(m, beats.o, wiring.flipped(self.w))

        command, size = self.command.payload, (self.config.axi_bits // 8).bit_length() - 1
        address = Signal(ADDRESS)
        m.d.comb += [
            address.addr.eq(command.line << size),
            address.len.eq(command.count - 1),
            address.size.eq(size),
            address.burst.eq(INCREMENTING),
            reads.i.payload.eq(address),
            writes.i.payload.eq(address),
            reads.i.valid.eq(self.command.valid & self.command.ready & ~command.write),
            writes.i.valid.eq(self.command.valid & self.command.ready & command.write),
            # One answer for both kinds: it must not depend on what is asked.
            self.command.ready.eq(reads.i.ready & writes.i.ready),
            self.idle.eq(~reads.o.valid & ~writes.o.valid & ~beats.o.valid),
        ]
        return m
