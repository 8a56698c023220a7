"""One of the two operand copies of new weights."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.arrange import INDEX
from sparsat.hw.config import SATConfig
from sparsat.hw.gather import Gather, gathered_layout
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.later import later
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.parts import Parts
from sparsat.hw.sore import SORE
from sparsat.hw.square import SLOTS, Square, Steps
from sparsat.hw.tally import turns
from sparsat.hw.turn import Turn
from sparsat.hw.update_mask import lanes_like_wuve

PLANES = ("values", "indices")


class UpdateCopy(wiring.Component):
    """Prunes squares with SORE, along the columns of memory's order, or along its rows if `turned`.

    A turned square is taken when it is complete, block by block.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `sore.part_makers`.
    turned : bool

    Members
    -------
    x : In(fields_layout(UPDATE)), kept : In
        The instruction; rows of a part of a square that are kept.
    valid : In(1), word : In(fmt.width * wuve_lanes)
        Words of squares as operands, in the order of memory.
    row : In(stream of row number bits)
        For each square: the row of the copy, within a line of indices, where the parts begin.
    complete : Out(1)
        The last rows of a square have come out.
    values, indices : Out(stream of gathered_layout)
    """

    def __init__(self, *, config: SATConfig, turned: bool, parts: Parts):
        self.config, self.turned, self.square = config, turned, Square(config)
        self.parts = parts
        lines = stream.Signature(gathered_layout(config))
        rows = rows_of_line(config, index=True)
        super().__init__(
            {
                "x": In(fields_layout(Opcode.UPDATE)),
                "kept": In(range(self.square.side + 1)),
                "valid": In(1),
                "word": In(config.fmt.width * config.wuve_lanes),
                "row": In(stream.Signature(range(rows))),
                "complete": Out(1),
                **{plane: Out(lines) for plane in PLANES},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sore = sore = SORE(config=lanes_like_wuve(self.config), parts=self.parts)
        valid, word = self._turned(m) if self.turned else (self.valid, self.word)
        m.d.comb += [
            sore.i.valid.eq(valid),
            sore.i.payload["values"].eq(word),
            sore.i.payload["n"].eq(self.x.n),
            sore.i.payload["log_m"].eq(self.x.log_m),
            sore.o.ready.eq(1),
        ]
        run_ends, square_ends = self._count(m, sore.o.valid)
        # Where the square under way begins, from a register.
        held, start, sparse = Signal(), Signal.like(self.row.payload), Signal()
        m.d.sync += sparse.eq(self.x.n != 2 << self.x.log_m)
        m.d.comb += self.row.ready.eq(~held | (sore.o.valid & square_ends))
        with m.If(self.row.ready):
            m.d.sync += [held.eq(self.row.valid), start.eq(self.row.payload)]
        each = [
            sore.o.payload["indices"].word_select(lane, self.config.index_bits)
            for lane in range(self.config.wuve_lanes)
        ]
        indices = Cat(Cat(index, Const(0, INDEX))[:INDEX] for index in each)
        for plane, words in ((PLANES[0], sore.o.payload["values"]), (PLANES[1], indices)):
            wanted = sparse if plane == "indices" else 1
            self._gather(m, plane, sore.o.valid & wanted, words, start, run_ends, square_ends)
        return m

    def _turned(self, m):
        """The words of the square turned over, when it is complete."""
        square = self.square
        m.submodules.words = words = Memory(shape=len(self.word), depth=2 * square.words, init=[])
        write, read = words.write_port(), words.read_port()
        m.submodules.steps = steps = Steps(config=self.config)
        m.submodules.turn = turn = Turn(config=self.config, bits=self.config.fmt.width)
        m.d.comb += [
            write.en.eq(self.valid),
            write.data.eq(self.word),
            steps.come.eq(self.valid & write.addr[:-1].all()),
            steps.room.eq(1),
            read.en.eq(1),
            read.addr.eq(Cat(square.turned(steps.word), steps.slot[0])),
            turn.valid.eq(later(m, steps.valid)),
            turn.word.eq(read.data),
        ]
        with m.If(self.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        return turn.o_valid, turn.o

    def _count(self, m, valid):
        """Whether the word is the last of its part, of its square."""
        square = self.square
        word = Signal(range(square.row_words))
        part = Signal(range(square.parts))
        row_ends, run_ends, square_ends = Signal(), Signal(), Signal()
        last_row = turns(m, valid & row_ends, self.kept, "row")
        m.d.comb += [
            row_ends.eq(word == square.row_words - 1),
            run_ends.eq(row_ends & last_row),
            square_ends.eq(run_ends & (part == square.parts - 1)),
        ]
        with m.If(valid):
            m.d.sync += word.eq(word + 1)
            with m.If(run_ends):
                m.d.sync += part.eq(part + 1)
        return run_ends, square_ends

    def _gather(self, m, plane, valid, words, start, run_ends, square_ends):
        index = plane == "indices"
        square, rows = self.square, rows_of_line(self.config, index=index)
        run_lines = -(-square.side // rows) + 1
        depth = SLOTS * square.parts * run_lines
        gather = Gather(config=self.config, bits=len(words), depth=depth)
        m.submodules[plane] = gather
        first = start[: (rows - 1).bit_length()]
        m.d.comb += [
            gather.valid.eq(valid),
            gather.word.eq(words),
            gather.start.eq(first << (square.row_words - 1).bit_length()),
            gather.run_ends.eq(run_ends),
            gather.square_ends.eq(square_ends),
        ]
        connect(m, gather.o, flipped(getattr(self, plane)))
        if not index:
            m.d.comb += self.complete.eq(gather.complete)
