"""Lines of weights, momentum and gradient through the lanes of WUVE, word by word."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.later import later
from sparsat.hw.parts import Parts
from sparsat.hw.square import SLOTS, Square, Steps
from sparsat.hw.wuve import FACTORS, WUVELane

READ = ("gradient", "master", "momentum")
"""Tensors that are read, in this order for each square."""


class UpdateWeights(wiring.Component):
    """Keeps what was read of squares, and takes the step of momentum SGD.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `wuve_lane`.

    Members
    -------
    x : In(fields_layout(UPDATE))
    line_valid : In(3), line : In(8 * line_bytes)
        A line of that one of `READ`.
    come : In(1)
        A square more can be updated, from the next cycle on.
    room : In(1)
        A square may begin; it does, or not: `begins` : Out(1).
    word : Out, last : Out(1), dropped : In(wuve_lanes)
        A word of a square is updated, the last one or not; in the next cycle: which of its weights
        get the masked decay.
    o_valid : Out(1), new_weights, new_momenta : Out(32 * wuve_lanes)
        A new word, `latency` cycles after that.
    o_last : Out(1)
        It is the last of its square.
    overflow : Out(1)
        One of its gradients was infinite or NaN.
    """

    latency = 1 + WUVELane.latency

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts, self.square = config, parts, Square(config)
        words = 32 * config.wuve_lanes
        super().__init__(
            {
                "x": In(fields_layout(Opcode.UPDATE)),
                "line_valid": In(len(READ)),
                "line": In(8 * config.line_bytes),
                "come": In(1),
                "room": In(1),
                "begins": Out(1),
                "word": Out(range(self.square.words)),
                "last": Out(1),
                "dropped": In(config.wuve_lanes),
                "o_valid": Out(1),
                "new_weights": Out(words),
                "new_momenta": Out(words),
                "o_last": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.steps = steps = Steps(config=self.config)
        m.d.comb += [
            steps.come.eq(self.come),
            steps.room.eq(self.room),
            self.begins.eq(steps.first),
            self.word.eq(steps.word),
            self.last.eq(steps.last),
        ]
        old = [self._words(m, number, steps) for number in range(len(READ))]
        overflows = self._lanes(m, *old)
        m.d.comb += [
            self.o_valid.eq(later(m, steps.valid, self.latency)),
            self.o_last.eq(later(m, steps.last, self.latency)),
            self.overflow.eq(self.o_valid & Cat(overflows).any()),
        ]
        return m

    def _words(self, m, number, steps):
        """A tensor's lines, held; the word of the step before."""
        line_words = self.square.line_words
        m.submodules[READ[number]] = lines = SyncFIFOBuffered(
            width=len(self.line), depth=SLOTS * self.square.lines
        )
        place, word = Signal(range(line_words)), Signal(32 * self.config.wuve_lanes)
        m.d.comb += [
            lines.w_en.eq(self.line_valid[number]),
            lines.w_data.eq(self.line),
            place.eq(steps.word),
            lines.r_en.eq(steps.valid & (place == line_words - 1)),
        ]
        m.d.sync += word.eq(lines.r_data.word_select(place, len(word)))
        return word

    def _lanes(self, m, gradients, weights, momenta):
        overflows = []
        for number in range(self.config.wuve_lanes):
            lane = self.parts.place(m, "wuve_lane", f"lane_{number}")
            m.d.comb += [
                lane.gradient.eq(gradients.word_select(number, 32)),
                lane.weight.eq(weights.word_select(number, 32)),
                lane.momentum.eq(momenta.word_select(number, 32)),
                lane.masked.eq(self.dropped[number]),
                lane.factors.eq(Cat(self.x[name] for name in FACTORS)),
                self.new_weights.word_select(number, 32).eq(lane.new_weight),
                self.new_momenta.word_select(number, 32).eq(lane.new_momentum),
            ]
            overflows.append(lane.overflow)
        return overflows
