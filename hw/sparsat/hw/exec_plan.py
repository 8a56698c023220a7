"""What an EXEC's chunks are to the array: the numbers that decoding works out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import ACC_LOOP, FEEDER_ROWS, WORD, m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Advance, Opcode
from sparsat.hw.request import COUNT_BITS
from sparsat.hw.timing import C_TURN, ISSUE_TO_SUM, LEAVE, RELEASE

PLAN_LATENCY = 12
"""Cycles from an instruction to its plan."""
SLOT_BITS = 32
TIME_BITS = 16
"""Bits of a number of cycles between what happens to one operation."""
_FEW = 255

PLAN = StructLayout(
    {
        "slots": SLOT_BITS,  # of a chunk, in all passes
        "pass_slots": SLOT_BITS,
        "passes": 16,
        "fresh_tiles": COUNT_BITS,  # of an operation that begins with a chunk from zero,
        "resumed_tiles": COUNT_BITS,  # with a resumed one
        "fresh_goes_on": 1,
        "resumed_goes_on": 1,
        "feed": 9,
        "release": TIME_BITS,
        "tail": TIME_BITS,
    }
)
"""See `ArrayOp` and the functions of `timing` with these names. Operations of several chunks hold
the tiles of all."""


class ExecPlan(wiring.Component):
    """The constants of an instruction, `PLAN_LATENCY` cycles after `x` has become what it is.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    x : In(fields_layout(EXEC))
    plan : Out(PLAN)
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__({"x": In(fields_layout(Opcode.EXEC)), "plan": Out(PLAN)})

    def elaborate(self, platform):
        m = Module()
        x, plan, config = self.x, self.plan, self.config

        def later(value, bits, name):
            found = Signal(bits, name=name)
            m.d.sync += found.eq(value)
            return found

        group = later(m_of(x.log_m), 5, "group")
        interleave = later(x.ir * x.is_, 6, "interleave")
        values = later(x.ir * group, 12, "values")
        load_a = later((values + config.a_link - 1) >> (config.a_link - 1), 8, "load_a")
        load_b = later(x.is_ * x.n, 7, "load_b")
        pace = later(Mux(interleave < ACC_LOOP, ACC_LOOP, interleave), 6, "pace")
        slowest = later(x.n * pace, 10, "slowest")
        least = later(Mux(load_a > x.least_period, load_a, x.least_period), 8, "least")
        period = later(Mux(slowest > least, slowest, least), 10, "period")
        self._counts(m, later)
        self._returns(m, later, interleave, period)

        above = later((config.rows - 1) * interleave, TIME_BITS, "above")
        constant = config.rows - 1 + ISSUE_TO_SUM - 1 + config.cols + LEAVE
        multiply = later(slowest - pace + interleave, 10, "multiply")
        tail = later(above + constant, TIME_BITS, "sums_leave")
        m.d.sync += [
            plan.tail.eq(tail + multiply),
            plan.release.eq(load_b + max(config.rows, config.cols) + RELEASE),
            plan.feed.eq(self._feed(group, later)),
        ]
        return m

    def _feed(self, group, later):
        """See `ArrayOp.feed`."""
        x, rows = self.x, min(self.config.rows, FEEDER_ROWS)
        words_of_rows = later((rows * x.ir + WORD - 1) >> 4, 6, "words_of_rows")
        words_of_groups = later((rows * group + WORD - 1) >> 4, 4, "words_of_groups")
        os = later(Mux(x.a_mn, words_of_rows * group, rows * x.ir), 9, "feed_os")
        ws = later(Mux(x.a_mn, rows * group, words_of_groups * x.ir), 9, "feed_ws")
        alone = later(Mux(x.a_mn, rows * group, rows * x.ir), 9, "feed_alone")
        return Mux(x.a_shared, Mux(x.ws, ws, os), alone)

    def _counts(self, m, later):
        x, plan = self.x, self.plan
        products = later(x.products0 * x.products1, COUNT_BITS, "products")
        along_p = later(Mux(x.ws, 1, x.tiles_p), COUNT_BITS, "along_p")
        sets = later(products * x.tiles_q, COUNT_BITS, "sets")
        tiles = later(sets * along_p, COUNT_BITS, "tiles")
        self._tiles = tiles
        passes = later(Mux(x.ws, x.passes, 1), 16, "passes")
        slots = later(tiles * x.groups, SLOT_BITS, "slots")
        chunks = later(x.outer * x.inner, COUNT_BITS, "chunks")
        # Resumed chunks of one half: all, or those after the first one, which starts from zero.
        of_half = later(Mux(x.c_advance == Advance.ONCE, chunks, x.inner), COUNT_BITS, "of_half")
        resumed = later(Mux(x.resume, chunks, of_half - 1), COUNT_BITS, "resumed")
        fresh = ~(x.ws | x.chain | x.resume)
        of_fresh = later(Mux(fresh, chunks, 1), COUNT_BITS, "of_fresh")
        of_resumed = later(Mux(plan.resumed_goes_on, resumed, 1), COUNT_BITS, "of_resumed")
        m.d.sync += [
            plan.pass_slots.eq(slots),
            plan.passes.eq(passes),
            plan.slots.eq(slots * passes),
            plan.fresh_goes_on.eq(fresh),
            plan.fresh_tiles.eq(tiles * of_fresh),
            plan.resumed_tiles.eq(tiles * of_resumed),
        ]

    def _returns(self, m, later, interleave, period):
        """See `sums_return`; large numbers need not be known exactly."""
        x, rows = self.x, self.config.rows

        def few(value, name):
            return later(Mux(value > _FEW, _FEW, value), 8, name)

        tile = later(x.groups * period, COUNT_BITS + 10, "tile")
        drain = later((rows + 1) * interleave, 14, "drain")
        spacing = few(later(Mux(tile > drain, tile, drain), COUNT_BITS + 10, "longer"), "spacing")
        between = few(
            later(Mux(self._tiles < 2, 0, self._tiles - 2), COUNT_BITS, "more"), "between"
        )
        needed = later(rows - 1 + LEAVE + C_TURN + interleave, 9, "needed")
        # Of less than two tiles the time is negative, of two it is 0: never enough.
        back = later(between * spacing, 16, "back")
        m.d.sync += self.plan.resumed_goes_on.eq(~x.ws & (back >= needed))
