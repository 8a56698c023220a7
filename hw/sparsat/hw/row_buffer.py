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


class RowBuffer(wiring.Component):
    """A queue of words, in rounds of as many as a slot has entries; a round may be for several
    slots.

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
        The array takes the next values, the first lowest.
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
        entry = StructLayout(
            {
                "word": WORD * self.config.fmt.width,
                "place": 4,
                "live": range(LIVE + 1),
                "entries": 4,
                "log_values": 3,
                "slots": 3,
            }
        )
        new = self._new(m, entry)
        banks, to, first = [], Signal(range(ENTRIES)), Signal(range(ENTRIES))
        number = Signal(4)  # of the entry in its round
        at = Signal(range(ENTRIES))
        m.d.comb += at.eq(first + number)
        for odd in range(2):
            memory = Memory(shape=entry, depth=ENTRIES // 2, init=[])
            m.submodules[f"bank_{odd}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.write & (to[0] == odd)),
                write.addr.eq(to[1:]),
                write.data.eq(new),
                read.addr.eq(at[1:]),
            ]
            banks.append(read.data)
        m.d.sync += to.eq(to + self.write)
        now = Signal(entry)
        m.d.comb += now.eq(Mux(at[0], banks[1].as_value(), banks[0].as_value()))
        pairs = self._take(m, now, number, first)
        self._values(m, now, banks, pairs)
        level = Signal(range(ENTRIES + 1))
        m.d.sync += level.eq(level + self.write - self.freed)
        m.d.comb += self.late.eq(self.take & (number + pairs >= level))
        return m

    def _new(self, m, layout):
        """What is kept of a word that comes."""
        new, taking = Signal(layout), self.taking
        distance = Signal(3)  # from the first row that the word goes to
        m.d.comb += [
            distance.eq(self.number - taking.first),
            new.word.eq(self.word),
            new.place.eq(taking.place + Mux(taking.wide, distance << taking.log_values, 0)),
            new.live.eq(Mux(taking.wide, Mux(distance < taking.live, LIVE, 0), taking.live)),
            new.entries.eq(taking.entries),
            new.log_values.eq(taking.log_values),
            new.slots.eq(taking.slots),
        ]
        return new

    def _take(self, m, now, number, first):
        """Go on to the next values, entry, slot, round. Returns whether two entries are taken, if
        each is a single value and the link takes two."""
        link = self.config.a_link
        self._value, slot = Signal(4), Signal(3)
        pairs, done = Signal(), Signal()
        after = Signal(5)
        m.d.comb += [
            pairs.eq((now.log_values == 0) & (link == 2)),
            after.eq(self._value + link),
            done.eq(after >= (1 << now.log_values)),
        ]
        self._slot = slot
        with m.If(self.take):
            m.d.sync += self._value.eq(after)
            with m.If(done):
                m.d.sync += [self._value.eq(0), number.eq(number + 1 + pairs)]
                with m.If(number + pairs == now.entries):
                    m.d.sync += [number.eq(0), slot.eq(slot + 1)]
                    with m.If(slot == now.slots):
                        m.d.sync += [slot.eq(0), first.eq(first + now.entries + 1)]
                        m.d.comb += self.freed.eq(now.entries + 1)
        return pairs

    def _values(self, m, now, banks, pairs):
        """Those at the place of the slot in the word; or of an entry and the next one."""
        width = self.config.fmt.width
        place, live = Signal(4), Signal()
        m.d.comb += [
            place.eq(now.place + (self._slot << now.log_values) + self._value),
            live.eq(self._slot < now.live),
        ]
        found = [now.word.word_select(place, width)]
        if self.config.a_link == 2:
            following = now.word.word_select((place + 1)[:4], width)
            other = banks[1]
            other_place = (other.place + self._slot)[:4]
            single = Mux(self._slot < other.live, other.word.word_select(other_place, width), 0)
            found.append(Mux(pairs, single, Mux(live, following, 0)))
        m.d.comb += self.values.eq(Cat(Mux(live, found[0], 0), *found[1:]))
