"""Words put together to lines of memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import line_layout
from sparsat.hw.config import SATConfig


def gathered_layout(config: SATConfig) -> StructLayout:
    """A line to write, the `last` of its square or not."""
    return StructLayout({"line": line_layout(config), "last": 1})


class Gather(wiring.Component):
    """Collects runs of words, each from some place in a line on, and keeps the lines.

    Parameters
    ----------
    config : SATConfig
    bits : int
        Of a word; a line holds a power of two of them.
    depth : int
        Lines it keeps. More must not come.

    Members
    -------
    valid : In(1), word : In(bits)
    start : In
        Where a run begins: with its first word, the place of that in the line.
    run_ends, square_ends : In(1)
        The word is the last of its run, of its square.
    complete : Out(1)
        In the cycle after the square's last word: it is among what `o` has to give, soon.
    o : Out(stream of gathered_layout)
        The first line is there 3 cycles after its last word, or sooner.
    """

    def __init__(self, *, config: SATConfig, bits: int, depth: int):
        self.config, self._bits, self._depth = config, bits, depth
        self._places = 8 * config.line_bytes // bits
        super().__init__(
            {
                "valid": In(1),
                "word": In(bits),
                "start": In(range(self._places)),
                "run_ends": In(1),
                "square_ends": In(1),
                "complete": Out(1),
                "o": Out(stream.Signature(gathered_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # One bit for each place in a line.
        here, following, there = (Signal(self._places) for _ in range(3))
        opens, ends, push = Signal(init=1), Signal(), Signal()
        data = Signal(8 * self.config.line_bytes, reset_less=True)
        m.d.comb += [
            here.eq(Mux(opens, 1 << self.start, following)),
            ends.eq(self.run_ends | here[-1]),
        ]
        with m.If(self.valid):
            m.d.sync += [
                opens.eq(self.run_ends),
                following.eq(here.rotate_left(1)),
                there.eq(here | Mux(opens | here[0], 0, there)),
            ]
        for place in range(self._places):
            with m.If(self.valid & here[place]):
                m.d.sync += data.word_select(place, self._bits).eq(self.word)
        m.d.sync += [push.eq(self.valid & ends), self.complete.eq(self.valid & self.square_ends)]

        bytes_ = range(self.config.line_bytes)
        strobe = Cat(there[8 * byte // self._bits] for byte in bytes_)
        layout = gathered_layout(self.config)
        m.submodules.lines = lines = SyncFIFOBuffered(width=layout.size, depth=self._depth)
        m.d.comb += [
            lines.w_en.eq(push),
            lines.w_data.eq(Cat(data, strobe, self.complete)),
            self.o.payload.eq(layout(lines.r_data)),
            self.o.valid.eq(lines.r_rdy),
            lines.r_en.eq(self.o.ready),
        ]
        return m
