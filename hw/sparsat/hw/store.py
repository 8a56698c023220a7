"""STORE: rows of the C scratchpad to memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.axi import line_bits
from sparsat.hw.burst_words import TAG, line_layout, request_bits, request_layout
from sparsat.hw.chunks import Chunks, connect_chunks
from sparsat.hw.config import SATConfig
from sparsat.hw.engine import engine_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode, Sem
from sparsat.hw.store_lines import StoreLines
from sparsat.hw.store_walk import StoreWalk, row_layout, unit_bytes
from sparsat.hw.tally import Countdown, tally
from sparsat.hw.timing import BURST, ROOM


class Store(wiring.Component):
    """Engine of STORE.

    From `SETUP` cycles after a chunk's token on (see `Chunks`) it reads a row of C per cycle, burst
    by burst: a burst is asked for when its rows have been read, and of the bursts whose rows are
    read, or being read, at most `ROOM` have not ended. C_FREE is given in the cycle after the
    chunk's last row was read, in which the next token can be taken. What an instruction signals is
    given when its last burst is in memory.

    It stops with the error FIELD at counts of 0 and addresses and strides that are not whole rows;
    with RANGE at a row that is not in memory or not in the half of C.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    i : In(stream of queued_layout)
    tokens : Out(TOKENS)
    read_valid, read_half, read_row : Out, values : In(32 * cols)
        Reads a row of C; its values come in the next cycle.
    request : Out(stream of request_layout), write : Out(stream of line_layout)
    written : In(1), written_tag : In(TAG)
    started, ended, idle, error, error_number : Out
        As those of `Load`.
    """

    def __init__(self, *, config: SATConfig):
        if config.line_bytes < 2 * unit_bytes(config):
            raise ValueError(
                f"SATConfig {config.name!r}: line_bytes is {config.line_bytes}, it must be at "
                f"least {2 * unit_bytes(config)}, for a line to hold a row in FP32"
            )
        self.config = config
        row = row_layout(config)
        super().__init__(
            {
                **engine_ports(Opcode.STORE),
                "read_valid": Out(1),
                "read_half": Out(1),
                "read_row": Out(row["row"].shape),
                "values": In(32 * config.cols),
                "request": Out(stream.Signature(request_layout(config))),
                "write": Out(stream.Signature(line_layout(config))),
                "written": In(1),
                "written_tag": In(TAG),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = Chunks(opcode=Opcode.STORE, token=Sem.C_FULL)
        m.submodules.walk = walk = StoreWalk(config=self.config)
        m.submodules.lines = lines = StoreLines(config=self.config)
        connect_chunks(m, self, chunks)
        wiring.connect(m, lines.o, wiring.flipped(self.write))
        room = self._bursts(m, chunks, walk, lines)
        full, free = Signal(), Signal()
        m.d.comb += [
            walk.begin.eq(chunks.begin),
            walk.first.eq(self.i.payload.x),
            walk.x.eq(chunks.x),
            walk.step.eq(chunks.run & room),
            self.read_valid.eq(walk.step),
            self.read_row.eq(walk.row.row),
            lines.valid.eq(walk.step),
            lines.values.eq(self.values),
            full.eq(walk.step & walk.row.full),
            chunks.full.eq(full),
            chunks.end.eq(walk.step & walk.row.end),
            chunks.outside.eq(walk.row.outside),
            chunks.fault.eq(Mux(self._bad_fields(chunks.x), Error.FIELD, Error.NONE)),
            self.ended.eq(self.written & self.written_tag.end),
            self.tokens.give.eq((free << Sem.C_FREE) | Mux(self.ended, self.written_tag.signal, 0)),
        ]
        m.d.sync += [free.eq(full), self.read_half.eq(self.read_half ^ full)]
        return m

    def _bursts(self, m, chunks, walk, lines):
        """Cut the rows into lines and bursts. Returns whether the next row may be read."""
        x, row = chunks.x, walk.row
        in_line = (self.config.line_bytes // unit_bytes(self.config) - 1).bit_length()
        in_burst = in_line + (BURST - 1).bit_length()
        opens, first = Signal(init=1), Signal(line_bits(self.config))
        line, last_unit = Signal.like(first), Signal(in_burst)
        ends, begins = Signal(), Signal.like(first)
        m.d.comb += [
            line.eq(row.unit >> in_line),
            last_unit.eq(row.unit | x.wide),  # wide rows begin at even ones
            ends.eq(row.last | last_unit.all()),
            begins.eq(first),
            lines.place.unit.eq(row.unit),
            lines.place.wide.eq(x.wide),
            lines.place.begins.eq(opens | (row.unit[:in_line] == 0)),
            lines.place.ends.eq(ends | last_unit[:in_line].all()),
        ]
        with m.If(opens):
            m.d.comb += begins.eq(line)
        with m.If(walk.step):
            m.d.sync += [opens.eq(ends), first.eq(begins)]

        m.submodules.staged = staged = Queue(shape=request_layout(self.config), depth=ROOM)
        wiring.connect(m, staged.o, wiring.flipped(self.request))
        tag = {"end": row.end, "signal": x.signal, "number": chunks.number}
        count = (line - begins + 1)[: BURST.bit_length()]
        request = request_bits(self.config, tag, line=begins, count=count, write=1)
        m.d.comb += [staged.i.valid.eq(walk.step & ends), staged.i.payload.eq(request)]

        # A burst is served for as many cycles as it has lines, from the one in which it begins on.
        left, asked = Countdown(range(BURST + 1), "lines_left"), self.request.payload.count
        begun, serving, served = Signal(), Signal(), Signal()
        m.d.comb += [
            begun.eq(self.request.valid & self.request.ready),
            served.eq(Mux(begun, asked == 1, serving & left.last)),
        ]
        m.d.sync += [*left.step(), serving.eq(serving & ~left.last)]
        with m.If(begun):
            m.d.sync += [*left.begin(asked - 1), serving.eq(asked != 1)]
        full = tally(m, walk.step & opens, served, ROOM)[-1]
        return lines.room & ~(opens & full)

    def _bad_fields(self, x):
        counts = ("outer", "inner", "rows", "d1_count", "d2_count", "d3_count")
        bytes_ = ("address", *(f"{k}_stride" for k in ("outer", "inner", "d1", "d2", "d3")))
        unit = (unit_bytes(self.config) - 1).bit_length()
        whole = Cat(x[name][:unit].any() | (x.wide & x[name][unit]) for name in bytes_)
        return Cat(x[name] == 0 for name in counts).any() | whole.any()
