"""Through the loops of a LOAD: which bursts it asks for."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import line_bits
from sparsat.hw.burst_words import BURST_BITS
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Mode, Opcode
from sparsat.hw.isa.site import half_rows_b, half_values_a
from sparsat.hw.later import later
from sparsat.hw.tally import Countdown
from sparsat.hw.timing import BURST


def rows_of_line(config: SATConfig, *, index: bool = False) -> int:
    """Rows of B's values, or of its indices, in a line: a power of two."""
    return config.line_bytes // (config.cols // 2 if index else 2 * config.cols)


def half_lines(config: SATConfig, opcode: Opcode, *, index: bool = False) -> int:
    """Lines of half of the scratchpad: of A, of B's values, or of its indices."""
    if opcode is Opcode.LOAD_A:
        return half_values_a(config) * 2 // config.line_bytes
    return half_rows_b(config) // rows_of_line(config, index=index)


def burst_layout(config: SATConfig) -> StructLayout:
    """A burst of an `index` plane or of values; the last one of a chunk (`full`), of all (`end`);
    `outside` if it is not in memory, or does not fit the half into which it is copied."""
    return StructLayout(
        {
            "line": line_bits(config),
            "count": range(BURST + 1),
            "index": 1,
            "full": 1,
            "end": 1,
            "outside": 1,
        }
    )


class LoadWalk(wiring.Component):
    """Loops over chunks, planes (values, then indices), segments, bursts.

    Parameters
    ----------
    config : SATConfig
    opcode : Opcode
        LOAD_A, which has no indices, or LOAD_B.

    Members
    -------
    begin : In(1), first : In(fields_layout)
        `first` is the instruction whose loops begin.
    x : In(fields_layout)
        The same instruction from the next cycle on.
    chunk : In(1)
        The next chunk's first burst is there `SETUP` - 2 cycles later. Not before the cycle after
        the last burst of the chunk before, or after `begin`.
    burst : Out(burst_layout), step : In(1)
        The burst to ask for; the next one from the cycle after `step` on. It comes from a register:
        what the loops are at is the burst after it.
    """

    def __init__(self, *, config: SATConfig, opcode: Opcode):
        self.config, self.opcode = config, opcode
        self._address = signed(line_bits(config) + 2)  # room for one step out of memory
        super().__init__(
            {
                "begin": In(1),
                "first": In(fields_layout(opcode)),
                "x": In(fields_layout(opcode)),
                "chunk": In(1),
                "burst": Out(burst_layout(config)),
                "step": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        chunk_ends, last_inner, last_chunk = self._loops(m)
        planes = ["", "index_"] if self.opcode is Opcode.LOAD_B else [""]
        bases = [self._base(m, plane, chunk_ends, last_inner) for plane in planes]

        x, burst = self.x, Signal(burst_layout(self.config))
        line, next_segment = Signal(self._address), Signal(self._address)
        more_lines = Signal(x.lines.shape())  # of the segment, after the next one
        segments = Countdown(x.segments.shape(), "segments")
        index = Signal()
        most = half_lines(self.config, self.opcode)
        room, room_after = (Signal(range(-BURST, most + 1)) for _ in range(2))

        strides = [self._in_lines(x[plane + "segment_stride"]) for plane in planes]
        stride, again = strides[0], x.lines - 1
        copies, index_comes = Const(1, 1), Const(0, 1)
        if len(planes) == 2:
            has_index = Signal()
            m.d.sync += has_index.eq(x.index_lines != 0)
            copies, index_comes = x.mode == Mode.COPY, has_index & ~index
            stride, again = Mux(index, strides[1], stride), Mux(index, x.index_lines - 1, again)

        def plane(number):
            """Begin with the first segment of a plane."""
            return [
                index.eq(number),
                room.eq(half_lines(self.config, self.opcode, index=bool(number))),
                *segments.begin(x.segments),
                line.eq(bases[number]),
                next_segment.eq(bases[number] + strides[number]),
                more_lines.eq(x[planes[number] + "lines"] - 1),
            ]

        few = Signal(BURST_BITS)
        place, more_to_border = line[:BURST_BITS], (~line)[:BURST_BITS]
        run_ends, plane_ends, advance = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(later(m, self.chunk) | (self.step & ~self.burst.full)),
            few.eq(more_lines),
            run_ends.eq((more_lines >> BURST_BITS == 0) & (place + few < BURST)),
            plane_ends.eq(run_ends & segments.last),
            room_after.eq(room - burst.count),
            burst.line.eq(line),
            burst.count.eq(Mux(run_ends, few, more_to_border) + 1),
            burst.index.eq(index),
            burst.full.eq(plane_ends & ~index_comes),
            burst.end.eq(burst.full & last_chunk),
            burst.outside.eq((line >> line_bits(self.config) != 0) | (copies & (room_after < 0))),
            chunk_ends.eq(advance & burst.full),
        ]
        with m.If(advance):
            m.d.sync += [
                self.burst.eq(burst),
                line.eq(line + more_to_border + 1),
                more_lines.eq(more_lines - more_to_border - 1),
                room.eq(room_after),
            ]
            with m.If(run_ends):
                m.d.sync += [line.eq(next_segment), next_segment.eq(next_segment + stride)]
                m.d.sync += [*segments.step(), more_lines.eq(again)]
                with m.If(segments.last & index_comes):
                    m.d.sync += plane(len(planes) - 1)
        with m.If(self.chunk):
            m.d.sync += plane(0)
        return m

    def _loops(self, m):
        """Count the chunks. Returns whether one ends now (to be set), whether it is the last of
        the inner loop, whether it is the last of all."""
        chunk_ends = Signal()
        outer, inner = (Countdown(self.x[name].shape(), name) for name in ("outer", "inner"))
        with m.If(self.begin):
            m.d.sync += [*outer.begin(self.first.outer), *inner.begin(self.first.inner)]
        with m.Elif(chunk_ends):
            m.d.sync += inner.step()
            with m.If(inner.last):
                m.d.sync += [*outer.step(), *inner.begin(self.x.inner)]
        return chunk_ends, inner.last, inner.last & outer.last

    def _base(self, m, plane, chunk_ends, last_inner):
        """The line at which the chunk's part of a plane begins."""
        row, base, following = (Signal(self._address) for _ in range(3))
        stride = Mux(
            last_inner, self.x[plane + "outer_stride"], self.x[plane + "inner_stride"]
        ).as_signed()
        m.d.comb += following.eq(Mux(last_inner, row, base) + self._in_lines(stride))
        with m.If(self.begin):
            first = self._in_lines(self.first[plane + "address"])
            m.d.sync += [row.eq(first), base.eq(first)]
        with m.Elif(chunk_ends):
            m.d.sync += base.eq(following)
            with m.If(last_inner):
                m.d.sync += row.eq(following)
        return base

    def _in_lines(self, bytes_):
        return bytes_ >> (self.config.line_bytes - 1).bit_length()
