"""LOAD_A and LOAD_B as far as lines go straight to the scratchpad: mode COPY."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import answer_layout, request_bits, request_layout
from sparsat.hw.chunks import Chunks, connect_chunks
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import Error, queued_layout
from sparsat.hw.isa.instructions import Mode, Opcode, Sem
from sparsat.hw.load_walk import LoadWalk, half_lines
from sparsat.hw.semaphores import TOKENS

FREE = {Opcode.LOAD_A: Sem.A_FREE, Opcode.LOAD_B: Sem.B_FREE}
FULL = {Opcode.LOAD_A: Sem.A_FULL, Opcode.LOAD_B: Sem.B_FULL}


class Load(wiring.Component):
    """Engine of LOAD_A or LOAD_B.

    A chunk's first burst is asked for `SETUP` cycles after its token (see `Chunks`), the others one
    after another. Lines are written in the cycle in which they come; A_FULL or B_FULL is given one
    cycle after the chunk's last one.

    It stops with the error FIELD at another mode than COPY, counts of 0, addresses and strides that
    are not whole lines; with RANGE where a burst is not in memory or does not fit the half.

    Parameters
    ----------
    config : SATConfig
    opcode : Opcode

    Members
    -------
    i : In(stream of queued_layout)
    tokens : Out(TOKENS)
    request : Out(stream of request_layout)
    line_valid : In(1), line : In(answer_layout)
    write_valid, write_index, write_half, write_line : Out
        `line` goes to that line of that half, of the indices or of the values.
    started, ended : Out(1)
        An instruction has its semaphores; one has ended. Instructions start and end in order.
    idle : Out(1), error : Out(Error), error_number : Out
        See `Chunks`.
    """

    def __init__(self, *, config: SATConfig, opcode: Opcode):
        self.config, self.opcode = config, opcode
        queued = queued_layout(opcode)
        super().__init__(
            {
                "i": In(stream.Signature(queued)),
                "tokens": Out(TOKENS),
                "request": Out(stream.Signature(request_layout(config))),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
                "write_valid": Out(1),
                "write_index": Out(1),
                "write_half": Out(1),
                "write_line": Out(range(half_lines(config, opcode))),
                "started": Out(1),
                "ended": Out(1),
                "idle": Out(1),
                "error": Out(Error),
                "error_number": Out(queued["number"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = Chunks(opcode=self.opcode, token=FREE[self.opcode])
        m.submodules.walk = walk = LoadWalk(config=self.config, opcode=self.opcode)
        connect_chunks(m, self, chunks)
        burst = walk.burst
        tag = {name: burst[name] for name in ("index", "full", "end")}
        request = request_bits(
            self.config,
            tag | {"number": chunks.number},
            line=burst.line,
            count=burst.count,
        )
        m.d.comb += [
            walk.begin.eq(chunks.begin),
            walk.first.eq(self.i.payload.x),
            walk.x.eq(chunks.x),
            walk.chunk.eq(chunks.setup),
            walk.step.eq(self.request.valid & self.request.ready),
            self.request.valid.eq(chunks.run),
            self.request.payload.eq(request),
            chunks.outside.eq(burst.outside),
            chunks.full.eq(walk.step & burst.full),
            chunks.end.eq(walk.step & burst.end),
            chunks.fault.eq(Mux(self._bad_fields(chunks.x), Error.FIELD, Error.NONE)),
        ]
        self._write(m)
        return m

    def _bad_fields(self, x):
        unit = (self.config.line_bytes - 1).bit_length()
        planes = ["", "index_"] if self.opcode is Opcode.LOAD_B else [""]
        lines = ("address", "outer_stride", "inner_stride", "segment_stride")
        counts = Cat(x[name] == 0 for name in ("outer", "inner", "segments", "lines"))
        parts = Cat(x[plane + name][:unit] for plane in planes for name in lines)
        other = x.mode != Mode.COPY if self.opcode is Opcode.LOAD_B else 0
        return counts.any() | parts.any() | other

    def _write(self, m):
        """Each plane's lines fill the half from its start."""
        tag, valid = self.line.tag, self.line_valid
        ends = Signal()
        values, indices = Signal.like(self.write_line), Signal.like(self.write_line)
        m.d.comb += [
            ends.eq(valid & self.line.last & tag.full),
            self.write_valid.eq(valid),
            self.write_index.eq(tag.index),
            self.write_line.eq(values),
        ]
        with m.If(tag.index):
            m.d.comb += self.write_line.eq(indices)
        for plane, own in ((values, ~tag.index), (indices, tag.index)):
            with m.If(ends):
                m.d.sync += plane.eq(0)
            with m.Elif(valid & own):
                m.d.sync += plane.eq(plane + 1)
        full = Signal()
        m.d.sync += [
            self.write_half.eq(self.write_half ^ ends),
            full.eq(ends),
            self.ended.eq(ends & tag.end),
        ]
        m.d.comb += self.tokens.give.eq(full << FULL[self.opcode])
