"""UPDATE: momentum SGD on a tensor of weights, and its operand copies for the next step."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from sparsat.hw import sore
from sparsat.hw.burst_words import TAG, answer_layout, line_layout, request_bits, request_layout
from sparsat.hw.chunks import Chunks, connect_chunks
from sparsat.hw.config import SATConfig
from sparsat.hw.engine import engine_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.float.pack import Narrow
from sparsat.hw.gather import Gather
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.later import later
from sparsat.hw.load_walk import rows_of_line
from sparsat.hw.parts import Makers, Parts
from sparsat.hw.sore import SORE
from sparsat.hw.square import SLOTS, Square
from sparsat.hw.tally import tally
from sparsat.hw.timing import UPDATE_COMPUTED, UPDATE_MASK
from sparsat.hw.update_copies import PLANES, UpdateCopy
from sparsat.hw.update_faults import update_fault
from sparsat.hw.update_loops import COPY_ROWS, CopyRows
from sparsat.hw.update_mask import UpdateMask, lanes_like_wuve, operands
from sparsat.hw.update_runs import UpdateRuns
from sparsat.hw.update_weights import READ, UpdateWeights
from sparsat.hw.wuve import WUVELane

SIDES = ("natural", "turned")
"""The copy with groups along the columns of memory's order, and the other one."""


def part_makers(config: SATConfig) -> Makers:
    """What is repeated, by Verilog module name."""
    lanes = lanes_like_wuve(config)
    kept, marked = sore.part_makers(lanes), sore.part_makers(lanes, marks=True)
    return {"wuve_lane": WUVELane, **kept, **marked}


assert 2 + Narrow.latency + SORE.latency == UPDATE_MASK
assert UpdateWeights.latency + 1 == UPDATE_COMPUTED


class Update(wiring.Component):
    """Engine of UPDATE, square by square: what was read waits for `UpdateMask`, where weights are
    pruned, then passes `UpdateWeights`; the new weights pass both `UpdateCopy`. All go on at
    `wuve_lanes` weights per cycle. An instruction begins when the one before has ended.

    It stops with the error FIELD at counts of 0, addresses that are not whole lines and wrong
    patterns; with RANGE at lines that are not in memory.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `part_makers`.

    Members
    -------
    i : In(stream of queued_layout)
    tokens : Out(TOKENS)
    request : Out(stream of request_layout), write : Out(stream of line_layout)
    line_valid : In(1), line : In(answer_layout)
    written : In(1), written_tag : In(TAG)
    overflow : Out(1)
        A gradient was infinite or NaN.
    started, ended, idle, error, error_number : Out
        As those of `Load`.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts, self.square = config, parts, Square(config)
        super().__init__(
            {
                **engine_ports(Opcode.UPDATE),
                "request": Out(stream.Signature(request_layout(config))),
                "write": Out(stream.Signature(line_layout(config))),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
                "written": In(1),
                "written_tag": In(TAG),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = Chunks(opcode=Opcode.UPDATE, token=None)
        m.submodules.rows = rows = CopyRows(config=self.config)
        m.submodules.runs = runs = UpdateRuns(config=self.config)
        connect_chunks(m, self, chunks)
        m.d.comb += [
            rows.x.eq(chunks.x),
            rows.begin.eq(chunks.begin),
            chunks.fault.eq(update_fault(self.config, chunks.x) * Error.FIELD),
            chunks.hold.eq(self._busy(m, chunks)),
            self.ended.eq(self.written & self.written_tag.end),
            self.tokens.give.eq(Mux(self.ended, self.written_tag.signal, 0)),
        ]
        self._bursts(m, chunks, runs, rows)
        copy_rows = self._rows(m, rows, runs)
        come, line_of = self._arrivals(m)
        self._compute(m, chunks.x, rows.kept, runs, come, line_of, copy_rows)
        return m

    def _busy(self, m, chunks):
        busy = Signal()
        with m.If(chunks.begin):
            m.d.sync += busy.eq(1)
        with m.Elif(self.ended):
            m.d.sync += busy.eq(0)
        return busy & ~self.ended

    def _bursts(self, m, chunks, runs, rows):
        burst = runs.burst
        tag = {"end": burst.end, "signal": chunks.x.signal, "number": chunks.number}
        request = request_bits(
            self.config, tag, line=burst.line, count=burst.count, write=burst.write
        )
        m.d.comb += [
            runs.begin.eq(chunks.begin),
            runs.x.eq(chunks.x),
            runs.kept.eq(rows.kept),
            runs.pitch.eq(rows.pitch),
            runs.step.eq(self.request.valid & self.request.ready),
            self.request.valid.eq(chunks.run & runs.valid),
            self.request.payload.eq(request),
            chunks.outside.eq(burst.outside),
            # That is known before a burst goes there.
            chunks.failure.eq(Mux(rows.beyond, Error.RANGE, Error.NONE)),
            chunks.full.eq(runs.step & burst.end),
            chunks.end.eq(runs.step & burst.end),
        ]

    def _rows(self, m, rows, runs):
        """Where copies begin, for whoever writes a square and for whoever computes it."""
        m.submodules.to_write = to_write = Queue(shape=COPY_ROWS, depth=2 * SLOTS)
        connect(m, to_write.o, runs.row)
        queues = {"write": to_write}
        shape = range(rows_of_line(self.config, index=True))
        for side in SIDES:
            m.submodules[f"to_compute_{side}"] = queues[side] = Queue(shape=shape, depth=2 * SLOTS)
            m.d.comb += queues[side].i.payload.eq(rows.o.payload[side])
        m.d.comb += to_write.i.payload.eq(rows.o.payload)
        m.d.comb += rows.o.ready.eq(Cat(queue.i.ready for queue in queues.values()).all())
        for queue in queues.values():
            m.d.comb += queue.i.valid.eq(rows.o.valid & rows.o.ready)
        return {side: queues[side].o for side in SIDES}

    def _arrivals(self, m):
        """Whether a square has come; and of which tensor a line comes."""
        line, tensor = Signal(range(self.square.lines)), Signal(range(len(READ)))
        last_line, come = line == self.square.lines - 1, Signal()
        last_tensor = tensor == len(READ) - 1
        m.d.comb += come.eq(self.line_valid & last_line & last_tensor)
        with m.If(self.line_valid):
            m.d.sync += line.eq(line + 1)
            with m.If(last_line):
                m.d.sync += tensor.eq(Mux(last_tensor, 0, tensor + 1))
        return come, self.line_valid << tensor

    def _compute(self, m, x, kept, runs, come, line_of, copy_rows):
        config = self.config
        m.submodules.mask = mask = UpdateMask(config=config, parts=self.parts)
        m.submodules.weights = weights = UpdateWeights(config=config, parts=self.parts)
        pruned = later(m, x.copies & (x.n != 2 << x.log_m))
        m.d.comb += [
            mask.x.eq(x),
            mask.line_valid.eq(line_of[READ.index("master")] & pruned),
            mask.line.eq(self.line.data),
            mask.come.eq(come & pruned),
            mask.word.eq(weights.word),
            mask.last.eq(weights.last & pruned),
            weights.x.eq(x),
            weights.line_valid.eq(line_of),
            weights.line.eq(self.line.data),
            weights.come.eq(Mux(pruned, mask.ready, come)),
            weights.dropped.eq(Mux(pruned, mask.dropped, 0)),
            self.overflow.eq(weights.overflow),
        ]
        lines = [self._wide(m, weights, name) for name in ("weights", "momenta")]
        copies = self._copies(m, x, kept, weights, copy_rows)
        m.d.comb += runs.computed.eq(lines[1].complete)
        m.d.comb += runs.copied.eq(copies["turned"].complete)
        sources = [*(each.o for each in lines)]
        for side in SIDES:
            sources += [getattr(copies[side], plane) for plane in PLANES]
        square_ends = self._write(m, x.copies, pruned, sources)
        under_way = tally(m, weights.begins, later(m, square_ends), SLOTS)
        m.d.comb += weights.room.eq(~under_way[-1])

    def _wide(self, m, weights, name):
        """Lines of new weights or momenta."""
        words = getattr(weights, f"new_{name}")
        depth = SLOTS * self.square.lines
        m.submodules[f"new_{name}"] = gather = Gather(
            config=self.config, bits=len(words), depth=depth
        )
        m.d.comb += [
            gather.valid.eq(weights.o_valid),
            gather.word.eq(words),
            gather.run_ends.eq(weights.o_last),
            gather.square_ends.eq(weights.o_last),
        ]
        return gather

    def _copies(self, m, x, kept, weights, rows):
        """Both copies of the new weights, rounded to operands."""
        valid, word = operands(m, self.config, weights.o_valid & x.copies, weights.new_weights)
        copies = {}
        for side in SIDES:
            copy = UpdateCopy(config=self.config, turned=side == "turned", parts=self.parts)
            m.submodules[f"copy_{side}"] = copies[side] = copy
            m.d.comb += [
                copy.x.eq(x),
                copy.kept.eq(kept),
                copy.valid.eq(valid),
                copy.word.eq(word),
            ]
            connect(m, rows[side], copy.row)
        return copies

    def _write(self, m, copies, pruned, sources):
        """Lines to write, from one source after another. Whether a square's last one is taken."""
        turn, ends = Signal(range(len(sources))), Signal()
        following, taken = Signal.like(turn), self.write.valid & self.write.ready
        last = Signal()
        for number, source in enumerate(sources):
            with m.If(turn == number):
                m.d.comb += [
                    self.write.valid.eq(source.valid),
                    self.write.payload.eq(source.payload.line),
                    last.eq(source.payload.last),
                    source.ready.eq(self.write.ready),
                ]
        # Weights and momenta; then copies, natural and turned: values and perhaps indices of each.
        ends_with = Mux(copies, Mux(pruned, 5, 4), 1)
        m.d.comb += [
            following.eq(Mux((turn == 2) & ~pruned, 4, turn + 1)),
            ends.eq(taken & last & (turn == ends_with)),
        ]
        with m.If(taken & last):
            m.d.sync += turn.eq(Mux(turn == ends_with, 0, following))
        return ends
