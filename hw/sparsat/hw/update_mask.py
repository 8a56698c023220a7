"""Which of the old weights the forward mask drops."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.float.pack import Narrow
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.later import later
from sparsat.hw.parts import Parts
from sparsat.hw.sore import SORE
from sparsat.hw.square import SLOTS, Square, Steps
from sparsat.hw.turn import Turn


class UpdateMask(wiring.Component):
    """Rounds the weights of squares to operands, prunes them with SORE, and keeps who is dropped.

    With `transposed`, groups lie along the rows: the square is turned over for SORE, and the marks
    are turned back.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `sore.part_makers`.

    Members
    -------
    x : In(fields_layout(UPDATE))
    line_valid : In(1), line : In(8 * line_bytes)
        A line of old weights.
    come : In(1)
        A square has come, and is to be pruned.
    ready : Out(1)
        A square can be read.
    word : In, last : In(1), dropped : Out(wuve_lanes)
        A word of the next square that was pruned is updated, the last one or not; in the next
        cycle: who is dropped.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts, self.square = config, parts, Square(config)
        super().__init__(
            {
                "x": In(fields_layout(Opcode.UPDATE)),
                "line_valid": In(1),
                "line": In(8 * config.line_bytes),
                "come": In(1),
                "ready": Out(1),
                "word": In(range(self.square.words)),
                "last": In(1),
                "dropped": Out(config.wuve_lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid, word = operands(m, self.config, *self._words(m))
        m.submodules.turn = turn = Turn(config=self.config, bits=self.config.fmt.width)
        lanes = lanes_like_wuve(self.config)
        m.submodules.sore = sore = SORE(config=lanes, marks=True, parts=self.parts)
        m.submodules.back = back = Turn(config=self.config, bits=1)
        turned = self.x.transposed
        marks = sore.o.payload["kept"]
        m.d.comb += [
            turn.valid.eq(valid & turned),
            turn.word.eq(word),
            sore.i.valid.eq(Mux(turned, turn.o_valid, valid)),
            sore.i.payload["values"].eq(Mux(turned, turn.o, word)),
            sore.i.payload["n"].eq(self.x.n),
            sore.i.payload["log_m"].eq(self.x.log_m),
            sore.o.ready.eq(1),
            back.valid.eq(sore.o.valid & turned),
            back.word.eq(marks),
        ]
        self._keep(m, Mux(turned, back.o_valid, sore.o.valid), ~Mux(turned, back.o, marks))
        return m

    def _words(self, m):
        """The words of squares in FP32, in the order in which they are pruned: valid, and which."""
        square = self.square
        m.submodules.steps = steps = Steps(config=self.config)
        m.submodules.lines = lines = Memory(
            shape=len(self.line), depth=SLOTS * square.lines, init=[]
        )
        write, read = lines.write_port(), lines.read_port()
        place, part = Signal.like(steps.word), Signal(range(square.line_words))
        m.d.comb += [
            write.en.eq(self.line_valid),
            write.data.eq(self.line),
            steps.come.eq(self.come),
            steps.room.eq(1),
            place.eq(Mux(self.x.transposed, square.turned(steps.word), steps.word)),
            read.en.eq(1),
            read.addr.eq(Cat(place, steps.slot)[len(part) :]),
        ]
        with m.If(self.line_valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        m.d.sync += part.eq(place)
        word = Signal(32 * self.config.wuve_lanes)
        m.d.sync += word.eq(read.data.word_select(part, len(word)))
        return later(m, steps.valid, 2), word

    def _keep(self, m, valid, dropped):
        """Put marks where the words lie in memory."""
        square = self.square
        m.submodules.dropped = memory = Memory(
            shape=self.config.wuve_lanes, depth=SLOTS * square.words, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        word, slot = Signal(range(square.words)), Signal(range(SLOTS))
        read_slot = Signal.like(slot)
        last = word == square.words - 1
        m.d.comb += [
            write.en.eq(valid),
            write.addr.eq(Cat(Mux(self.x.transposed, square.turned(word), word), slot)),
            write.data.eq(dropped),
            read.en.eq(1),
            read.addr.eq(Cat(self.word, read_slot)),
            self.dropped.eq(read.data),
        ]
        m.d.sync += self.ready.eq(valid & last)
        with m.If(valid):
            m.d.sync += word.eq(word + 1)
            with m.If(last):
                m.d.sync += slot.eq(slot + 1)
        with m.If(self.last):
            m.d.sync += read_slot.eq(read_slot + 1)


def lanes_like_wuve(config: SATConfig) -> SATConfig:
    """For a SORE that keeps pace with WUVE."""
    return config.with_(sore_lanes=config.wuve_lanes)


def operands(m: Module, config: SATConfig, valid, words):
    """A word of weights rounded to operands, and whether there is one, `Narrow.latency` later."""
    rounded = []
    for lane in range(config.wuve_lanes):
        m.submodules[f"narrow_{lane}"] = unit = Narrow(fmt=config.fmt)
        m.d.comb += unit.i.eq(words.word_select(lane, 32))
        rounded.append(unit.o)
    return later(m, valid, Narrow.latency), Cat(rounded)
