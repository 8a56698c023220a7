"""LOAD_B: lines to the B scratchpad as they are, pruned or transposed."""

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib.wiring import Out

from sparsat.hw.arrange import Arrange
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Mode, Opcode
from sparsat.hw.isa.site import half_rows_b, most_channels
from sparsat.hw.load import Load
from sparsat.hw.load_walk import half_lines, rows_of_line
from sparsat.hw.parts import Parts
from sparsat.hw.sore import pattern_fault
from sparsat.hw.tally import tally
from sparsat.hw.timing import ROOM

PLANES = {"values": False, "indices": True}
"""Ports to B, and whether they are the indices'."""


def plane_ports(config: SATConfig, *, index: bool) -> dict:
    """Shapes of what goes to a plane of B: the rows of `mask` of a line of a half."""
    return {
        "valid": 1,
        "half": 1,
        "line": range(half_lines(config, Opcode.LOAD_B, index=index)),
        "mask": rows_of_line(config, index=index),
        "data": 8 * config.line_bytes,
    }


class LoadB(Load):
    """Engine of LOAD_B: a line is written in the cycle in which it comes if it is only copied.

    Else it goes to `Arrange`, of whose rows each is written when it comes out; the next instruction
    is taken when all are. So the two never meet.

    It also stops with FIELD at wrong patterns, channels, tokens that do not end in the last line of
    a segment, and indices with another mode than COPY; with RANGE where rows do not fit the half.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        Of `SORE`, which says what is without.

    Members
    -------
    <plane>_valid, _half, _line, _mask, _data : Out
        A write of `values` or `indices`, see `plane_ports`.
    Others: see `Load`.
    """

    def __init__(self, *, config: SATConfig, parts: Parts | None = None):
        self._parts = parts
        writes = {
            f"{plane}_{name}": Out(shape)
            for plane, index in PLANES.items()
            for name, shape in plane_ports(config, index=index).items()
        }
        super().__init__(config=config, opcode=Opcode.LOAD_B, writes=writes)

    def _arranged(self, x):
        return x.mode != Mode.COPY

    def _bad_fields(self, x):
        rows, block = rows_of_line(self.config), self.config.block
        m_mask = (2 << x.log_m) - 1
        pattern = pattern_fault(self.config, x)
        groups = (x.segments[:4] * x.lines[:4] * rows) & m_mask != 0
        channels = x.channels[: block.bit_length() - 1].any() | (x.channels == 0)
        channels |= x.channels > most_channels(self.config)
        by_mode = {
            Mode.COPY: 0,
            Mode.PRUNE: pattern | groups | (x.index_lines != 0),
            Mode.TRANSPOSE: channels | (x.tokens == 0) | (x.index_lines != 0),
        }
        wrong = super()._bad_fields(x) | ~Cat(x.mode == mode for mode in Mode).any()
        return wrong | Cat((x.mode == mode) & bad for mode, bad in by_mode.items()).any()

    def _write(self, m, chunks, asked):
        m.submodules.arrange = arrange = Arrange(config=self.config, parts=self._parts)
        tag = self.line.tag
        copied = self.line_valid & ~tag.arranged
        full, half, outside = Signal(), Signal(), Signal()
        m.d.comb += [
            arrange.x.eq(chunks.x),
            arrange.line_valid.eq(self.line_valid & tag.arranged),
            arrange.line.eq(self.line),
            full.eq(Mux(copied, self.line.last & tag.full, arrange.row_valid & arrange.mark.full)),
        ]
        m.d.sync += half.eq(half ^ full)
        for plane, index in PLANES.items():
            pruned = chunks.x.mode == Mode.PRUNE if index else 1
            row = arrange.indices if index else arrange.values
            row_valid = arrange.row_valid & pruned
            over = self._plane(m, plane, copied & (tag.index == index), row_valid, row, half, full)
            if not index:
                m.d.comb += outside.eq(over)
        with m.If(outside):
            m.d.comb += chunks.failure.eq(Error.RANGE)
        with m.Elif(arrange.failed):
            m.d.comb += chunks.failure.eq(Error.FIELD)

        m.d.comb += chunks.hold.eq(self._busy(m, chunks, full & ~copied & arrange.mark.end))
        waiting = tally(m, asked, arrange.passed, ROOM)
        return full, Mux(copied, tag.end, arrange.mark.end), ~waiting[-1]

    def _plane(self, m, plane, copied, row_valid, row, half, full):
        """A line that is `copied`, or a row, goes behind what is there of the chunk.

        Returns whether it is a row that does not fit the half.
        """
        names = plane_ports(self.config, index=PLANES[plane])
        port = {name: getattr(self, f"{plane}_{name}") for name in names}
        rows = len(port["mask"])
        place, over = Signal(range(half_rows_b(self.config) + 1)), Signal()
        m.d.comb += [
            over.eq(row_valid & (place == half_rows_b(self.config))),
            port["valid"].eq(copied | (row_valid & ~over)),
            port["half"].eq(half),
            port["line"].eq(place // rows),
            port["mask"].eq(Mux(copied, ~0, 1 << place % rows)),
            port["data"].eq(Mux(copied, self.line.data, row.replicate(rows))),
        ]
        with m.If(full):
            m.d.sync += place.eq(0)
        with m.Elif(port["valid"]):
            m.d.sync += place.eq(place + Mux(copied, rows, 1))
        return over

    def _busy(self, m, chunks, ends):
        """Whether an instruction is under way whose lines are arranged; it `ends`."""
        busy, ended = Signal(), Signal()
        m.d.sync += ended.eq(ends)
        with m.If(chunks.begin):
            m.d.sync += busy.eq(self._arranged(self.i.payload.x))
        with m.Elif(ended):
            m.d.sync += busy.eq(0)
        return busy & ~ended
