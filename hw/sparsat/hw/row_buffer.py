"""Words of A for one row of the array, read ahead of it."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.a_walk import LIVE, taking_layout
from sparsat.hw.array_op import ROW_WORDS as ENTRIES
from sparsat.hw.array_op import WORD
from sparsat.hw.config import SATConfig

_MARKS = StructLayout(
    {
        "place": 4,
        "live": range(LIVE + 1),
        "entries": 4,
        "log_values": 3,
        "slots": 3,
        "single": 1,
        "pairs": 1,
    }
)
"""See `taking_layout`; whether all values of an entry are taken at once, or with the next one's."""


class RowBuffer(wiring.Component):
    """A queue of words, in rounds of as many as a slot has entries; a round may be for several
    slots. The values that are taken next are in a register.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    number : In(3)
        Of the row in its feeder, a constant.
    write : In(1), word : In(WORD * fmt.width), taking : In(taking_layout)
        A word for this row, see `taking_layout`.
    take : In(1), values : Out(fmt.width * a_link)
        The array takes the next values, the first lowest; they are there two cycles after the last
        word that they are in, at the earliest.
    freed : Out(5)
        So many words are done with.
    late : Out(1)
        It takes what is not there.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        width = config.fmt.width
        super().__init__(
            {
                "number": In(3),
                "write": In(1),
                "word": In(WORD * width),
                "taking": In(taking_layout()),
                "take": In(1),
                "values": Out(width * config.a_link),
                "freed": Out(5),
                "late": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at = [Signal(range(ENTRIES), name=name) for name in ("at", "following")]
        valid, step = Signal(), Signal()
        marks, words = self._memories(m, *at)
        there, values = self._step(m, step, at, marks, words)
        m.d.comb += [step.eq(there & (self.take | ~valid)), self.late.eq(self.take & ~valid)]
        with m.If(self.take | ~valid):
            m.d.sync += [valid.eq(there), self.values.eq(values)]
        return m

    def _memories(self, m, at, following):
        """What is kept of the words at both places, the second one the one after the first; and
        the words, from two banks that take them in turns."""
        new, to = self._new(m), Signal(range(ENTRIES))
        m.submodules.marks = kept = Memory(shape=_MARKS, depth=ENTRIES, init=[])
        write, marks = kept.write_port(), [kept.read_port(domain="comb") for _ in range(2)]
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(to),
            write.data.eq(new),
            marks[0].addr.eq(at),
            marks[1].addr.eq(following),
        ]
        banks = []
        for odd, place in enumerate((following, at)):
            memory = Memory(shape=len(self.word), depth=ENTRIES // 2, init=[])
            m.submodules[f"bank_{odd}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.write & (to[0] == odd)),
                write.addr.eq(to[1:]),
                write.data.eq(self.word),
                read.addr.eq(place[1:]),
            ]
            banks.append(read.data)
        m.d.sync += to.eq(to + self.write)
        words = Mux(at[0], banks[1], banks[0]), Mux(at[0], banks[0], banks[1])
        return [each.data for each in marks], words

    def _new(self, m):
        """What is kept of a word that comes, beside it."""
        new, taking = Signal(_MARKS), self.taking
        distance = Signal(3)  # from the first row that the word goes to
        m.d.comb += [
            distance.eq(self.number - taking.first),
            new.place.eq(taking.place + Mux(taking.wide, distance << taking.log_values, 0)),
            new.live.eq(Mux(taking.wide, Mux(distance < taking.live, LIVE, 0), taking.live)),
            new.entries.eq(taking.entries),
            new.log_values.eq(taking.log_values),
            new.slots.eq(taking.slots),
            new.single.eq(1 << taking.log_values <= self.config.a_link),
            new.pairs.eq(1 << taking.log_values < self.config.a_link),
        ]
        return new

    def _step(self, m, step, at, marks, words):
        """Go on to the next values, entry, slot, round. Returns whether the values are there, and
        them."""
        link, now = self.config.a_link, marks[0]
        number, slot, first = Signal(4), Signal(3), Signal(range(ENTRIES))  # first: of the round
        begin, value, last_value = Signal(4), Signal(4), Signal()  # begin: of the slot in a word
        # Words that are there, of the round and later ones: all, and those that are not taken yet.
        level, rest = Signal(range(ENTRIES + 1)), Signal(range(ENTRIES + 1))
        size = 1 << now.log_values
        entry_ends = step & (last_value | now.single)
        slot_ends = entry_ends & ((number | now.pairs) == now.entries)
        round_ends = slot_ends & (slot == now.slots)
        less = Mux(now.pairs, rest - 2, rest - 1)[: len(rest)]

        m.d.sync += [level.eq(level + self.write), rest.eq(rest + self.write)]
        with m.If(step):
            m.d.sync += [value.eq(value + link), last_value.eq(value + 2 * link == size)]
        with m.If(entry_ends):
            m.d.sync += [value.eq(0), last_value.eq(0), number.eq(number + 1 + now.pairs)]
            m.d.sync += rest.eq(less + self.write)
        with m.If(slot_ends):
            m.d.sync += [number.eq(0), slot.eq(slot + 1), begin.eq(begin + size)]
            m.d.sync += rest.eq(level + self.write)
        with m.If(round_ends):
            m.d.sync += [slot.eq(0), begin.eq(0), first.eq(Mux(now.pairs, at[0] + 2, at[1]))]
            m.d.sync += [level.eq(less + self.write), rest.eq(less + self.write)]
            m.d.comb += self.freed.eq(now.entries + 1)
        for more, place in enumerate(at):
            m.d.sync += place.eq(at[0] + more)
            with m.If(entry_ends):
                m.d.sync += place.eq(Mux(now.pairs, at[0] + (2 + more), at[0] + (1 + more)))
            with m.If(slot_ends & ~round_ends):
                m.d.sync += place.eq(first + more)
        there = rest[1:].any() | (rest[0] & ~now.pairs)
        return there, self._values(marks, words, slot, begin, value)

    def _values(self, marks, words, slot, begin, value):
        """Those at the place of the slot in the word; or of an entry and the next one."""

        def found(n, offset):
            place = (marks[n].place + offset)[:4]
            of_slot = words[n].word_select(place, self.config.fmt.width)
            return Mux(slot < marks[n].live, of_slot, 0)

        values = [found(0, begin | value)]
        if self.config.a_link == 2:
            values.append(Mux(marks[0].pairs, found(1, begin), found(0, begin | value | 1)))
        return Cat(values)
