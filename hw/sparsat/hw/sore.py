"""SORE, the sparse online reduction engine: the N largest values of every M, column by column."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import GROUP_SIZES, SATConfig
from sparsat.hw.parts import Makers, Parts
from sparsat.hw.sore_lane import SORELane, columns_per_lane, lane_control
from sparsat.hw.timing import SORE_LATENCY


def lane_kind(config: SATConfig, *, marks: bool) -> str:
    """Name of the lanes' module: they differ in nothing else."""
    return f"sore_{'marks' if marks else 'lane'}_{columns_per_lane(config)}"


def part_makers(config: SATConfig, *, marks: bool = False) -> Makers:
    """What is repeated, by Verilog module name."""
    return {lane_kind(config, marks=marks): lambda: SORELane(config=config, marks=marks)}


def pattern_fault(config: SATConfig, x):
    """Whether the fields n and log_m of an instruction are no pattern that SORE can prune to."""
    sizes = [log_m_of(size) for size in GROUP_SIZES if size <= config.m_max]
    return ~Cat(x.log_m == size for size in sizes).any() | (x.n == 0) | (x.n > 2 << x.log_m)


def dense_word(config: SATConfig) -> StructLayout:
    """Values of a row before pruning, the lowest column lowest; keep `n` of 2 << `log_m`."""
    bits = config.fmt.width * config.sore_lanes
    return StructLayout({"values": bits, "n": config.m_max.bit_length(), "log_m": 2})


def kept_word(config: SATConfig) -> StructLayout:
    """Values of a row of kept ones, the lowest column lowest, and their indices in their group."""
    lanes = config.sore_lanes
    return StructLayout({"values": config.fmt.width * lanes, "indices": config.index_bits * lanes})


def mark_word(config: SATConfig) -> StructLayout:
    """Of the values of a row, the lowest column lowest: whether they are kept."""
    return StructLayout({"kept": config.sore_lanes})


class SORE(wiring.Component):
    """Keeps, of each column, the N largest magnitudes of every M rows, in their order.

    On a tie the lower index is kept; NaN is the largest, and all NaN are equal. A row of `cols`
    values comes, and leaves, in `cols / sore_lanes` words. Row n of the N that a group leaves holds
    each column's n-th kept value and its index.

    The lanes (`SORELane`) judge a value as it passes, so all patterns take the same time: any
    1 <= N <= M, M of 4, 8 or 16 up to `m_max`. It is the same for all words of a group.

    Parameters
    ----------
    config : SATConfig
    marks : bool
        All M rows of a group leave, and of each value only whether it is kept.
    parts : Parts
        With `part_makers`; without, all lanes are Amaranth components.

    Members
    -------
    i : In(stream of dense_word(config))
    o : Out(stream of kept_word(config), or of mark_word(config))

    A group's first word leaves `latency` cycles after its last one has come, or when the group
    before has left. Words come one per cycle, without a pause between groups unless `o` is held up.

    Source: an engine with this task is in Fang et al., TCAD 2023; how it works inside is ours.
    """

    latency = SORE_LATENCY

    def __init__(self, *, config: SATConfig, marks: bool = False, parts: Parts | None = None):
        self.config, self._marks = config, marks
        self._parts = parts or Parts(part_makers(config, marks=marks), once=False)
        self._columns = columns_per_lane(config)
        out = mark_word(config) if marks else kept_word(config)
        super().__init__(
            {
                "i": In(stream.Signature(dense_word(config))),
                "o": Out(stream.Signature(out)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i.payload, self.o.payload
        self._ctl = Signal(lane_control(self.config))
        kind = lane_kind(self.config, marks=self._marks)
        for n in range(self.config.sore_lanes):
            lane = self._parts.place(m, kind, f"lane_{n}")
            m.d.comb += [lane.ctl.eq(self._ctl), lane.i.eq(i["values"].word_select(n, len(lane.i)))]
            outs = {"kept": "kept"} if self._marks else {"values": "value", "indices": "index"}
            for name, own in outs.items():
                out = getattr(lane, own)
                m.d.comb += o[name].word_select(n, len(out)).eq(out)
        numbered = self._number(m)
        tags = [Signal(numbered.shape(), name=f"tag_{stage}") for stage in (1, 2)]
        with m.If(self._ctl.advance):
            m.d.sync += [tags[0].eq(numbered), tags[1].eq(tags[0])]
        self._judge(m, tags[0])
        self._send(m, *self._remember(m, tags[1]))
        return m

    def _number(self, m):
        """What goes with a word through the stages: its place in its group, and its pattern."""
        word, index_bits = self.i.payload, self.config.index_bits
        column, position = Signal(range(self._columns)), Signal(index_bits)
        tag = Signal(
            StructLayout(
                {
                    **{"valid": 1, "position": index_bits, "column": column.shape(), "last": 1},
                    **{"n": word["n"].shape(), "end": index_bits},
                    **{"drop": 1, "candidates": index_bits},
                }
            )
        )
        size, row_ends = Signal(range(17)), Signal()
        m.d.comb += [
            size.eq(2 << word["log_m"]),
            row_ends.eq(column == self._columns - 1),
            tag.valid.eq(self.i.valid),
            tag.position.eq(position),
            tag.column.eq(column),
            tag.last.eq(row_ends & (position == tag.end)),
            tag.n.eq(word["n"]),
            tag.end.eq(size - 1),
            tag.drop.eq(word["n"] > size >> 1),
            tag.candidates.eq(Mux(tag.drop, size - word["n"], word["n"])),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += column.eq(Mux(row_ends, 0, column + 1))
            with m.If(row_ends):
                m.d.sync += position.eq(Mux(tag.last, 0, position + 1))
        return tag

    def _judge(self, m, tag):
        """Orders for stage 1."""
        ctl, order = self._ctl, self._ctl.judge
        m.d.comb += [
            order.valid.eq(tag.valid & ctl.advance),
            order.drop.eq(tag.drop),
            order.full.eq(tag.position >= tag.candidates),
        ]
        for place in range(len(order.fill)):
            used = place < tag.candidates
            m.d.comb += [
                order.fill[place].eq(used & (tag.position == place)),
                order.filled[place].eq(used & (tag.position > place)),
            ]

    def _remember(self, m, tag):
        """Orders for stage 2; and the group that ends there, which holds up all others there are.

        Returns whether there is one, its N and the half of the memories in which it lies.
        """
        ctl, order = self._ctl, self._ctl.remember
        done, n, half = Signal(), Signal.like(tag.n), Signal()
        m.d.comb += [
            ctl.advance.eq(~done | ctl.load),
            self.i.ready.eq(ctl.advance),
            order.valid.eq(tag.valid & ctl.advance),
            order.position.eq(tag.position),
            order.replaces.eq(tag.position >= tag.candidates),
            order.column.eq(tag.column),
            order.half.eq(half),
        ]
        with m.If(ctl.advance):
            m.d.sync += [done.eq(tag.valid & tag.last), half.eq(half ^ (tag.valid & tag.last))]
            rows = tag.end + 1 if self._marks else tag.n
            m.d.sync += [n.eq(rows), ctl.dropped.eq(tag.drop)]
            m.d.sync += ctl.inside.eq((2 << tag.end) - 1)
        return done, n, ~half

    def _send(self, m, done, n, done_half):
        """Send the rows of a group; take the next one with the last word of the one before."""
        ctl, o = self._ctl, self.o
        rows, half = Signal.like(n), Signal()
        column, row_ends = Signal(range(self._columns)), Signal()
        m.d.comb += [
            row_ends.eq(column == self._columns - 1),
            ctl.send.valid.eq((rows != 0) & (~o.valid | o.ready)),
            ctl.send.column.eq(column),
            ctl.send.half.eq(half),
            ctl.load.eq(done & ((rows == 0) | ((rows == 1) & row_ends & ctl.send.valid))),
        ]
        with m.If(o.ready):
            m.d.sync += o.valid.eq(0)
        with m.If(ctl.send.valid):
            m.d.sync += [o.valid.eq(1), column.eq(Mux(row_ends, 0, column + 1))]
            with m.If(row_ends):
                m.d.sync += rows.eq(rows - 1)
        with m.If(ctl.load):
            m.d.sync += [rows.eq(n), half.eq(done_half)]
