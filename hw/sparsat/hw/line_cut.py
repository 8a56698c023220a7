"""Lines on their way to SORE or the transposer: held, and cut."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import answer_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Mode, Opcode
from sparsat.hw.isa.site import most_channels
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.sore_lane import columns_per_lane
from sparsat.hw.tally import turns
from sparsat.hw.timing import BURST, ROOM

MARK = StructLayout({"full": 1, "end": 1})
"""A group, or block, is the last of its chunk, of the instruction."""


class LineCut(wiring.Component):
    """Holds up to `ROOM` bursts of lines and gives them out in pieces, one per cycle.

    A piece is `cols` values. PRUNE takes each as often as SORE has words in it, and a group of M
    rows is a unit. TRANSPOSE takes each once; a block of `cols` tokens is a unit. The last block of
    a segment is filled up with zeros, while its last line stays.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    x : In(fields_layout(LOAD_B))
        An instruction with PRUNE or TRANSPOSE, from before its first line to after its last.
    line_valid : In(1), line : In(answer_layout)
        A line, `BUFFER` cycles before its first piece if none is before it.
    valid : Out(1), piece : Out(fmt.width * cols), word : Out
        A piece for its word number `word`.
    unit_ends : Out(1), mark : Out(MARK)
        It ends a unit.
    passed : Out(1)
        It is the last one of a burst.
    failed : Out(1)
        The tokens of a segment did not end in its last line, in the cycle before.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "x": In(fields_layout(Opcode.LOAD_B)),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
                "valid": Out(1),
                "piece": Out(config.fmt.width * config.cols),
                "word": Out(range(columns_per_lane(config))),
                "unit_ends": Out(1),
                "mark": Out(MARK),
                "passed": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x, width = self.x, len(self.piece)
        pieces = rows_of_line(self.config)
        held = StructLayout({"data": 8 * self.config.line_bytes, "last": 1, "mark": MARK})
        m.submodules.lines = lines = SyncFIFOBuffered(width=held.size, depth=ROOM * BURST)
        line, prune, number = Signal(held), Signal(), Signal(range(pieces))
        tag = self.line.tag
        m.d.comb += [
            lines.w_en.eq(self.line_valid),
            lines.w_data.eq(Cat(self.line.data, self.line.last, tag.full, tag.end)),
            line.eq(lines.r_data),
            self.valid.eq(lines.r_rdy),
            prune.eq(x.mode == Mode.PRUNE),
        ]
        piece_ends = ~prune | (self.word == columns_per_lane(self.config) - 1)
        with m.If(self.valid):
            m.d.sync += self.word.eq(Mux(piece_ends, 0, self.word + 1))

        group_ends = self._group(m, prune & self.valid & piece_ends)
        block_ends, filling, final = self._block(m, ~prune & self.valid)
        line_ends = Signal()
        m.d.comb += [
            line_ends.eq(Mux(final & ~prune, block_ends, piece_ends & (number == pieces - 1))),
            lines.r_en.eq(line_ends),
            self.piece.eq(Mux(filling, 0, line.data.word_select(number, width))),
            self.unit_ends.eq(self.valid & Mux(prune, group_ends, block_ends)),
            self.mark.eq(Mux(line_ends & line.last, line.mark, 0)),
            self.passed.eq(self.valid & line_ends & line.last),
        ]
        with m.If(self.valid & piece_ends):
            m.d.sync += number.eq(Mux(line_ends, 0, number + 1))
        self._check_lines(m, ~prune & self.valid & line_ends, final)
        return m

    def _group(self, m, step):
        """Counts the rows of a group; whether this is the last one."""
        return turns(m, step, (2 << self.x.log_m)[: self.config.m_max.bit_length()], "row") & step

    def _block(self, m, step):
        """Counts the pieces of a token and the tokens of a segment.

        Returns whether a block ends, whether there are no more tokens to end it, whether this piece
        is, or comes after, the last one of the segment.
        """
        cols, x = self.config.cols, self.x
        most_parts = most_channels(self.config) // cols
        token_ends = turns(m, step, (x.channels // cols)[: most_parts.bit_length()], "part")
        filling, row = Signal(), Signal(range(cols))
        block_ends, final = Signal(), Signal()
        last_token = turns(m, step & token_ends & ~filling, x.tokens, "token")
        m.d.comb += [
            block_ends.eq(token_ends & row.all()),
            final.eq(filling | (token_ends & last_token)),
        ]
        with m.If(step):
            m.d.sync += [row.eq(row + token_ends), filling.eq(final & ~block_ends)]
        return block_ends, filling, final

    def _check_lines(self, m, line_ends, final):
        """The last tokens, and no others, end in a segment's last line."""
        last = turns(m, line_ends, self.x.lines, "line")
        m.d.sync += self.failed.eq(line_ends & (final ^ last))
