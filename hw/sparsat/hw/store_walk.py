"""Through the loops of a STORE: which row of C goes where in memory."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import ADDRESS_BITS
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.later import later
from sparsat.hw.tally import Countdown

LEVELS = ("d1", "d2", "d3", "inner", "outer")
"""Loops over runs, the innermost first."""
COUNTS = ("d1_count", "d2_count", "d3_count", "inner", "outer")


def unit_bytes(config: SATConfig) -> int:
    """A row in FP16: addresses are counted in these."""
    return 2 * config.cols


def row_layout(config: SATConfig) -> StructLayout:
    """A `row` of C and the `unit` of memory where it goes; whether it is the last one of its run,
    that run the last of its chunk (`full`), that chunk the last of all (`end`); `outside` if it is
    not in memory or not in C."""
    unit_bits = ADDRESS_BITS - (unit_bytes(config) - 1).bit_length()
    return StructLayout(
        {
            "row": range(half_rows_c(config)),
            "unit": unit_bits,
            "last": 1,
            "full": 1,
            "end": 1,
            "outside": 1,
        }
    )


class StoreWalk(wiring.Component):
    """Loops over chunks, runs and rows.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    begin : In(1), first : In(fields_layout)
        `first` is the instruction whose loops begin.
    x : In(fields_layout)
        The same instruction from the next cycle on.
    row : Out(row_layout), step : In(1)
        The row to move, from three cycles after `begin` on; the next one from the cycle after
        `step`. It comes from a register: what the loops are at is the row after it.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        fields, row = fields_layout(Opcode.STORE), row_layout(config)
        # Room for one step out of memory, or out of C.
        self._unit = signed(row["unit"].width + 2)
        self._row = signed(26)
        super().__init__(
            {"begin": In(1), "first": In(fields), "x": In(fields), "row": Out(row), "step": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        x, row, rows = self.x, Signal.like(self.row), Countdown(self.x.rows.shape(), "rows")
        advance = Signal()
        run_ends, level, lasts = self._loops(m)
        unit, new_unit = self._memory(m, run_ends, level)
        place, new_place = self._scratchpad(m, run_ends, level)
        m.d.comb += [
            row.row.eq(place),
            row.unit.eq(unit),
            advance.eq(self.step | later(m, self.begin)),
            row.last.eq(rows.last),
            row.full.eq(row.last & lasts[:3].all()),
            row.end.eq(row.last & lasts.all()),
            row.outside.eq(
                (unit >> len(row.unit) != 0) | (place < 0) | (place >= half_rows_c(self.config))
            ),
            run_ends.eq(advance & row.last),
        ]
        with m.If(advance):
            m.d.sync += [
                self.row.eq(row),
                *rows.step(),
                unit.eq(Mux(row.last, new_unit, unit + 1 + x.wide)),
                place.eq(Mux(row.last, new_place, place + x.c_row)),
            ]
        with m.If(run_ends):
            m.d.sync += rows.begin(x.rows)
        with m.If(self.begin):
            m.d.sync += [
                *rows.begin(self.first.rows),
                unit.eq(self._in_units(self.first.address)),
                place.eq(self.first.c_base),
            ]
        return m

    def _loops(self, m):
        """Count the runs. Returns whether one ends now (to be set), the level that then goes on,
        one-hot, and for each level whether it is at its last turn."""
        run_ends = Signal()
        level, lasts = Signal(len(LEVELS)), Signal(len(LEVELS))
        for k, name in enumerate(COUNTS):
            turns = Countdown(self.x[name].shape(), name)
            below = lasts[:k].all() if k else Const(1, 1)
            m.d.comb += [lasts[k].eq(turns.last), level[k].eq(below & ~turns.last)]
            with m.If(run_ends & below):
                m.d.sync += turns.step()
                with m.If(turns.last):
                    m.d.sync += turns.begin(self.x[name])
            with m.If(self.begin):
                m.d.sync += turns.begin(self.first[name])
        return run_ends, level, lasts

    def _memory(self, m, run_ends, level):
        """Where the row goes, and where the next run begins."""
        strides = [self._in_units(self.x[f"{name}_stride"]) for name in LEVELS]
        first = self._in_units(self.first.address)
        return Signal(self._unit), self._bases(m, self._unit, first, strides, run_ends, level)

    def _scratchpad(self, m, run_ends, level):
        """The row of C, and the one with which the next run begins: each chunk begins alike."""
        steps = [self.x[f"{name}_c"] for name in LEVELS[:3]]
        following = self._bases(m, self._row, self.first.c_base, steps, run_ends, level[:3])
        return Signal(self._row), following

    def _bases(self, m, shape, first, steps, run_ends, level):
        """Where the next run begins; each level keeps where its own turn began. Where none of these
        goes on, all begin anew."""
        bases = [Signal(shape, name=f"base_{k}") for k in range(len(steps))]
        following = Signal(shape)
        anew = Signal(shape)
        with m.If(self.begin):
            m.d.sync += anew.eq(first)
        m.d.comb += following.eq(anew)
        for k, (base, step) in enumerate(zip(bases, steps, strict=True)):
            with m.If(level[k]):
                m.d.comb += following.eq(base + step)
            with m.If(self.begin):
                m.d.sync += base.eq(first)
            with m.Elif(run_ends & ~level[:k].any()):
                m.d.sync += base.eq(following)
        return following

    def _in_units(self, bytes_):
        return bytes_ >> (unit_bytes(self.config) - 1).bit_length()
