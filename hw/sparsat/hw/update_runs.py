"""In which order UPDATE reads and writes: its runs of lines, and their bursts."""

from enum import IntEnum

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import line_bits
from sparsat.hw.burst_words import BURST_BITS
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.later import later
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.square import SLOTS, Square
from sparsat.hw.tally import tally
from sparsat.hw.timing import BURST, UPDATE_AHEAD
from sparsat.hw.update_loops import COPY_ROWS, ROW, SquareLoops


class Run(IntEnum):
    """Kinds of runs in the order in which a square has them: it is read, and written later; copies
    have a run for each of their parts."""

    GRADIENT = 0
    MASTER = 1
    MOMENTUM = 2
    NEW_MASTER = 3
    NEW_MOMENTUM = 4
    NATURAL = 5
    NATURAL_INDEX = 6
    TURNED = 7
    TURNED_INDEX = 8


FIELDS = ("gradient", "master", "momentum", "new_master", "new_momentum")
FORWARD, BACKWARD = ("forward", "forward_index"), ("backward", "backward_index")
"""Where runs lie: copies natural and turned, and the other way round with `transposed`."""
UNIT = ROW + 3
"""Bits of an address in rows of indices."""


def burst_layout(config: SATConfig) -> StructLayout:
    """A burst of a run, the instruction's last (`end`) or not; `outside` if not in memory."""
    return StructLayout(
        {
            "line": line_bits(config),
            "count": range(BURST + 1),
            "write": 1,
            "end": 1,
            "outside": 1,
        }
    )


class UpdateRuns(wiring.Component):
    """Goes through the runs of an instruction, and cuts them into bursts.

    Squares are read `UPDATE_AHEAD` ahead of those that are written. A burst to write is not there
    before its square has been computed.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    begin : In(1), x : In(fields_layout(UPDATE))
        The instruction, from the cycle after `begin` on; its first burst is there 4 cycles after.
    kept : In, pitch : In(COPY_ROWS), row : In(stream of COPY_ROWS)
        See `CopyRows`.
    computed, copied : In(1)
        One more square's new weights, its copies, can be written from the next cycle on.
    valid : Out(1), burst : Out(burst_layout), step : In(1)
        The burst to ask for; the next one from the cycle after `step` on.
    """

    def __init__(self, *, config: SATConfig):
        self.config, self.square = config, Square(config)
        rows = rows_of_line(config, index=True), rows_of_line(config)
        self._line_log, self._value_log = (
            n.bit_length() - 1 for n in (rows[0], rows[0] // rows[1])
        )
        longest = max(self.square.lines << self._line_log, self.square.side << self._value_log)
        # `frees`: all that waited for the same is asked for.
        self._run = StructLayout({"kind": Run, "frees": 1, "end": 1, "units": range(longest + 1)})
        super().__init__(
            {
                "begin": In(1),
                "x": In(fields_layout(Opcode.UPDATE)),
                "kept": In(range(self.square.side + 1)),
                "pitch": In(COPY_ROWS),
                "row": In(stream.Signature(COPY_ROWS)),
                "computed": In(1),
                "copied": In(1),
                "valid": Out(1),
                "burst": Out(burst_layout(config)),
                "step": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        advance, valid, run = Signal(), Signal(), Signal(self._run)
        part_ends = self._sequence(m, advance, valid, run)
        base, offset = self._place(m, advance & valid, run, part_ends)
        # One more stage to add, and one to cut.
        placed_valid, placed = Signal(), Signal(self._run)
        added_valid, added, unit = Signal(), Signal(self._run), Signal(UNIT)
        with m.If(advance):
            m.d.sync += [placed_valid.eq(valid), placed.eq(run)]
            m.d.sync += [added_valid.eq(placed_valid), added.eq(placed), unit.eq(base + offset)]
        self._cut(m, advance, added_valid, added, unit)
        return m

    def _sequence(self, m, advance, valid, run):
        """The run that is next, and the one after with `advance`; whether it is its kind's last."""
        x, started = self.x, Signal()
        m.submodules.loops = loops = SquareLoops()
        kind, following = Signal(Run), Signal(Run)
        ahead, more = Signal(range(SLOTS + 1)), Signal()
        part, part_ends = Signal(range(self.square.parts)), Signal()
        sparse, read, written, end = Signal(), Signal(), Signal(), Signal()
        final = Signal(Run, init=Run.NEW_MOMENTUM)  # the last kind of a square
        m.d.sync += [started.eq(self.begin), sparse.eq(x.n != 2 << x.log_m)]
        m.d.sync += final.eq(
            Mux(x.copies, Mux(sparse, Run.TURNED_INDEX, Run.TURNED), Run.NEW_MOMENTUM)
        )
        m.d.comb += [
            loops.begin.eq(started),
            loops.x.eq(x),
            # It may come a cycle later: two runs lie between.
            loops.step.eq(later(m, advance & valid & read)),
            part_ends.eq((kind < Run.NATURAL) | (part == self.square.parts - 1)),
            read.eq(kind == Run.MOMENTUM),
            written.eq((kind == final) & part_ends),
            end.eq(written & ~more & (ahead == 1)),
            run.kind.eq(kind),
            run.frees.eq(written | (kind == Run.NEW_MOMENTUM)),
            run.end.eq(end),
            following.eq(kind + 1),
        ]
        with m.If(read):
            enough = loops.last[2] | (ahead == UPDATE_AHEAD)
            m.d.comb += following.eq(Mux(enough, Run.NEW_MASTER, Run.GRADIENT))
        with m.Elif(written):
            m.d.comb += following.eq(Mux(more, Run.GRADIENT, Run.NEW_MASTER))
        with m.Elif((kind == Run.NATURAL) & ~sparse):
            m.d.comb += following.eq(Run.TURNED)
        with m.If(self.begin):
            m.d.sync += [valid.eq(1), kind.eq(Run.GRADIENT), more.eq(1), ahead.eq(0)]
        with m.Elif(advance & valid):
            m.d.sync += [ahead.eq(ahead + read - written), valid.eq(~end)]
            m.d.sync += part.eq(Mux(part_ends, 0, part + 1))
            with m.If(part_ends):
                m.d.sync += kind.eq(following)
            with m.If(read):
                m.d.sync += more.eq(~loops.last[2])
        m.d.comb += self.row.ready.eq(advance & valid & written & x.copies)
        return part_ends

    def _place(self, m, advance, run, part_ends):
        """Where the run lies: what to add, from the next `advance` on; sets its length."""
        x, kind = self.x, run.kind
        read_at, write_at, part_at = Signal(UNIT), Signal(UNIT), Signal(ROW)
        lines, side = self.square.lines << self._line_log, Signal(COPY_ROWS.members["natural"])
        turned = kind >= Run.TURNED
        row, values = Signal(ROW), (kind == Run.NATURAL) | (kind == Run.TURNED)
        m.d.comb += [
            side.eq(Mux(turned, self.row.payload.turned, self.row.payload.natural)),
            row.eq(side + part_at),
        ]
        with m.If(self.begin):
            m.d.sync += [read_at.eq(0), write_at.eq(0)]
        with m.Elif(advance):
            pitch = Mux(turned, self.pitch.turned, self.pitch.natural)
            m.d.sync += part_at.eq(Mux(part_ends, 0, part_at + pitch))
            with m.If(kind == Run.MOMENTUM):
                m.d.sync += read_at.eq(read_at + lines)
            with m.If(kind == Run.NEW_MOMENTUM):
                m.d.sync += write_at.eq(write_at + lines)

        base, offset = Signal(UNIT), Signal(UNIT)
        addresses = [x[name] for name in FIELDS] + [
            Mux(x.transposed, x[other], x[name])
            for name, other in zip(FORWARD + BACKWARD, BACKWARD + FORWARD, strict=True)
        ]
        unit_log = (self.config.cols // 2).bit_length() - 1
        kept = self.kept
        with m.If(kind < Run.NATURAL):
            m.d.comb += run.units.eq(lines)
        with m.Else():
            m.d.comb += run.units.eq(Mux(values, kept << self._value_log, kept))
        with m.If(advance):
            m.d.sync += base.eq(Array(addresses)[kind] >> unit_log)
            with m.If(kind < Run.NEW_MASTER):
                m.d.sync += offset.eq(read_at)
            with m.Elif(kind < Run.NATURAL):
                m.d.sync += offset.eq(write_at)
            with m.Else():
                m.d.sync += offset.eq(Mux(values, row << self._value_log, row))
        return base, offset

    def _cut(self, m, advance, following, run, unit):
        """The bursts of the run under way; then `run` comes, if there is a `following` one."""
        valid, current, burst = Signal(), Signal(self._run), self.burst
        line, left = Signal(UNIT - self._line_log), Signal(self._run.members["units"])
        outside, last, write, is_copy = (Signal() for _ in range(4))
        frees, run_ends = Signal(), Signal()
        new = tally(m, self.computed, frees & ~is_copy, SLOTS)
        copies = tally(m, self.copied, frees & is_copy, SLOTS)
        border = Signal(range(BURST + 1))
        m.d.comb += [
            border.eq(BURST - line[:BURST_BITS]),
            burst.line.eq(line),
            burst.count.eq(Mux(last, left, border)),
            burst.write.eq(write),
            burst.end.eq(current.end & last),
            burst.outside.eq(outside),
            self.valid.eq(valid & (~write | Mux(is_copy, copies[0], new[0]))),
            run_ends.eq(self.step & last),
            frees.eq(run_ends & current.frees),
            advance.eq(~valid | run_ends),
        ]
        # Of what comes next: lines of the same run, or another run.
        next_line, next_left = Signal.like(line), Signal.like(left)
        first_line, first_left = Signal.like(line), Signal.like(left)
        whole = (1 << self._line_log) - 1
        m.d.comb += [
            next_line.eq(line + border),
            next_left.eq(left - border),
            first_line.eq(unit >> self._line_log),
            first_left.eq((unit[: self._line_log] + run.units + whole) >> self._line_log),
        ]
        memory = line_bits(self.config)
        with m.If(self.step):
            m.d.sync += [line.eq(next_line), left.eq(next_left)]
            m.d.sync += [last.eq(left <= border + BURST), outside.eq(next_line >> memory != 0)]
        with m.If(advance):
            m.d.sync += [
                valid.eq(following),
                current.eq(run),
                write.eq(run.kind >= Run.NEW_MASTER),
                is_copy.eq(run.kind >= Run.NATURAL),
                line.eq(first_line),
                left.eq(first_left),
                last.eq(first_left + first_line[:BURST_BITS] <= BURST),
                outside.eq(following & (first_line >> memory != 0)),
            ]
