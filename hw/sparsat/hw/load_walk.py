"""Through the loops of a LOAD: which bursts it asks for."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import line_bits
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Mode, Opcode
from sparsat.hw.isa.site import half_rows_b, half_values_a
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
        In the cycle before the chunk's first burst, at the latest, and not before the cycle after
        the last burst of the chunk before, or after `begin`.
    burst : Out(burst_layout), step : In(1)
        The burst to ask for; the next one from the cycle after `step` on.
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

        x, burst = self.x, self.burst
        line, segment = Signal(self._address), Signal(self._address)
        segments, lines = Signal(x.segments.shape()), Signal(x.lines.shape())
        index = Signal()
        room = Signal(range(half_lines(self.config, self.opcode) + 1))

        def plane(number):
            """Begin with the first segment of a plane."""
            size = half_lines(self.config, self.opcode, index=bool(number))
            return [
                index.eq(number),
                room.eq(size),
                segments.eq(x.segments),
                segment.eq(bases[number]),
                line.eq(bases[number]),
                lines.eq(x[planes[number] + "lines"]),
            ]

        copies = x.mode == Mode.COPY if len(planes) == 2 else 1
        to_border = Signal(range(BURST + 1))
        run_ends, plane_ends, more_planes, overflows = (Signal() for _ in range(4))
        following = Signal(self._address)
        m.d.comb += [
            to_border.eq(BURST - line[: BURST.bit_length() - 1]),
            run_ends.eq(lines <= to_border),
            plane_ends.eq(run_ends & (segments == 1)),
            burst.line.eq(line),
            burst.count.eq(Mux(run_ends, lines, to_border)),
            burst.index.eq(index),
            burst.full.eq(plane_ends & ~more_planes),
            burst.end.eq(burst.full & last_chunk),
            overflows.eq(copies & (burst.count > room)),
            burst.outside.eq((line >> line_bits(self.config) != 0) | overflows),
            chunk_ends.eq(self.step & burst.full),
            following.eq(segment + self._in_lines(x.segment_stride)),
        ]
        if len(planes) == 2:
            m.d.comb += [
                more_planes.eq(~index & (x.index_lines != 0)),
                following.eq(
                    segment + self._in_lines(Mux(index, x.index_segment_stride, x.segment_stride))
                ),
            ]
        with m.If(self.step):
            m.d.sync += [
                line.eq(line + burst.count),
                lines.eq(lines - burst.count),
                room.eq(room - burst.count),
            ]
            with m.If(run_ends):
                m.d.sync += [segments.eq(segments - 1), segment.eq(following), line.eq(following)]
                m.d.sync += lines.eq(x.lines)
                if len(planes) == 2:
                    with m.If(index):
                        m.d.sync += lines.eq(x.index_lines)
                    with m.If(plane_ends & more_planes):
                        m.d.sync += plane(1)
        with m.If(self.chunk):
            m.d.sync += plane(0)
        return m

    def _loops(self, m):
        """Count the chunks. Returns whether one ends now (to be set), whether it is the last of
        the inner loop, whether it is the last of all."""
        chunk_ends, last_inner, last_chunk = Signal(), Signal(), Signal()
        outer, inner = Signal(self.x.outer.shape()), Signal(self.x.inner.shape())
        m.d.comb += [last_inner.eq(inner == 1), last_chunk.eq(last_inner & (outer == 1))]
        with m.If(self.begin):
            m.d.sync += [outer.eq(self.first.outer), inner.eq(self.first.inner)]
        with m.Elif(chunk_ends):
            m.d.sync += inner.eq(inner - 1)
            with m.If(last_inner):
                m.d.sync += [outer.eq(outer - 1), inner.eq(self.x.inner)]
        return chunk_ends, last_inner, last_chunk

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
