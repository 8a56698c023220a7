"""Squares of D × D weights, which UPDATE works on one after another: their sizes, their order."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.tally import tally
from sparsat.hw.timing import UPDATE_AHEAD

SLOTS = 1 << UPDATE_AHEAD.bit_length()
"""Squares on their way from memory and back, at most."""


@dataclass(frozen=True)
class Square:
    """A square of D rows and D columns.

    In memory it is D / cols *parts*, blocks of D rows of `cols` columns. It passes in *words* of
    `wuve_lanes` weights. All counts are powers of two.
    """

    config: SATConfig

    @property
    def side(self) -> int:
        """D: rows, and columns."""
        return self.config.block

    @property
    def parts(self) -> int:
        return self.side // self.config.cols

    @property
    def row_words(self) -> int:
        """Words of a row of a part."""
        return self.config.cols // self.config.wuve_lanes

    @property
    def words(self) -> int:
        return self.side**2 // self.config.wuve_lanes

    @property
    def lines(self) -> int:
        """Lines of memory, in FP32."""
        return 4 * self.side**2 // self.config.line_bytes

    @property
    def line_words(self) -> int:
        return self.config.line_bytes // (4 * self.config.wuve_lanes)

    def turned(self, word: Value) -> Value:
        """Which word in the order of memory comes as number `word` where blocks of `cols` × `cols`
        are turned over, those side by side one after another; and the other way round."""
        block = (self.config.cols * self.row_words).bit_length() - 1
        count = self.parts.bit_length() - 1
        low, down, across = word[:block], word[block : block + count], word[block + count :]
        return Cat(low, across, down)


class Steps(wiring.Component):
    """Goes through the words of squares, one per cycle, as squares come.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    come : In(1)
        A square more may be gone through, from the next cycle on.
    room : In(1)
        A square may begin.
    valid : Out(1), word : Out, slot : Out(range(SLOTS))
        Word number `word` of a square, which is the `slot`-th in turn.
    first, last : Out(1)
        It is valid and its square's first, last.
    """

    def __init__(self, *, config: SATConfig):
        self._words = Square(config).words
        super().__init__(
            {
                "come": In(1),
                "room": In(1),
                "valid": Out(1),
                "word": Out(range(self._words)),
                "slot": Out(range(SLOTS)),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waiting = tally(m, self.come, self.last, SLOTS)
        begins = self.word == 0
        m.d.comb += [
            self.valid.eq(waiting[0] & (self.room | ~begins)),
            self.first.eq(self.valid & begins),
            self.last.eq(self.valid & (self.word == self._words - 1)),
        ]
        with m.If(self.valid):
            m.d.sync += self.word.eq(self.word + 1)
        with m.If(self.last):
            m.d.sync += self.slot.eq(self.slot + 1)
        return m
