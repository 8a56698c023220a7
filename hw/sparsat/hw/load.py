"""LOAD_A, and what it has in common with LOAD_B."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import answer_layout, request_bits, request_layout
from sparsat.hw.chunks import Chunks, connect_chunks
from sparsat.hw.config import SATConfig
from sparsat.hw.engine import engine_ports
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode, Sem
from sparsat.hw.load_walk import LoadWalk, half_lines

FREE = {Opcode.LOAD_A: Sem.A_FREE, Opcode.LOAD_B: Sem.B_FREE}
FULL = {Opcode.LOAD_A: Sem.A_FULL, Opcode.LOAD_B: Sem.B_FULL}


class Load(wiring.Component):
    """Asks for the lines of LOAD_A or LOAD_B; a subclass writes them to the scratchpad.

    A chunk's first burst is asked for `SETUP` cycles after its token (see `Chunks`), the others one
    after another. A_FULL or B_FULL is given one cycle after the last write of a chunk.

    It stops with the error FIELD at counts of 0, addresses and strides that are not whole lines;
    with RANGE where a burst is not in memory or does not fit the half.

    Parameters
    ----------
    config : SATConfig
    opcode : Opcode
    writes : dict
        Ports to the scratchpad.

    Members
    -------
    i : In(stream of queued_layout)
    tokens : Out(TOKENS)
    request : Out(stream of request_layout)
    line_valid : In(1), line : In(answer_layout)
    started, ended : Out(1)
        An instruction has its semaphores; one has ended. Instructions start and end in order.
    idle : Out(1), error : Out(Error), error_number : Out
        See `Chunks`.
    """

    def __init__(self, *, config: SATConfig, opcode: Opcode, writes: dict):
        self.config, self.opcode = config, opcode
        super().__init__(
            {
                **engine_ports(self.opcode),
                "request": Out(stream.Signature(request_layout(config))),
                "line_valid": In(1),
                "line": In(answer_layout(config)),
            }
            | writes
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chunks = chunks = Chunks(opcode=self.opcode, token=FREE[self.opcode])
        m.submodules.walk = walk = LoadWalk(config=self.config, opcode=self.opcode)
        connect_chunks(m, self, chunks)
        burst, arranged = walk.burst, self._arranged(chunks.x)
        tag = {name: burst[name] for name in ("index", "full", "end")}
        request = request_bits(
            self.config,
            tag | {"arranged": arranged, "number": chunks.number},
            line=burst.line,
            count=burst.count,
        )
        m.d.comb += [
            walk.begin.eq(chunks.begin),
            walk.first.eq(self.i.payload.x),
            walk.x.eq(chunks.x),
            walk.chunk.eq(chunks.setup),
            walk.step.eq(self.request.valid & self.request.ready),
            self.request.payload.eq(request),
            chunks.outside.eq(burst.outside),
            chunks.full.eq(walk.step & burst.full),
            chunks.end.eq(walk.step & burst.end),
            chunks.fault.eq(Mux(self._bad_fields(chunks.x), Error.FIELD, Error.NONE)),
        ]
        full, full_ends, room = self._write(m, chunks, walk.step & arranged)
        given = Signal()
        m.d.sync += [given.eq(full), self.ended.eq(full & full_ends)]
        m.d.comb += [
            self.request.valid.eq(chunks.run & room),
            self.tokens.give.eq(given << FULL[self.opcode]),
        ]
        return m

    def _arranged(self, x):
        """Whether lines are pruned or transposed on their way."""
        return Const(0, 1)

    def _bad_fields(self, x):
        unit = (self.config.line_bytes - 1).bit_length()
        planes = ["", "index_"] if self.opcode is Opcode.LOAD_B else [""]
        lines = ("address", "outer_stride", "inner_stride", "segment_stride")
        counts = Cat(x[name] == 0 for name in ("outer", "inner", "segments", "lines"))
        parts = Cat(x[plane + name][:unit] for plane in planes for name in lines)
        return counts.any() | parts.any()

    def _write(self, m, chunks, asked):
        """Lines to the scratchpad. `asked`: a burst of lines to be arranged is asked for.

        Returns whether the last of a chunk is written now, whether that is an instruction's last,
        whether there is room for the next burst.
        """
        raise NotImplementedError


class LoadA(Load):
    """Engine of LOAD_A: each line is written in the cycle in which it comes.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    write_valid, write_half, write_line : Out
        `line` goes to that line of that half.
    Others: see `Load`.
    """

    def __init__(self, *, config: SATConfig):
        line = Out(range(half_lines(config, Opcode.LOAD_A)))
        writes = {"write_valid": Out(1), "write_half": Out(1), "write_line": line}
        super().__init__(config=config, opcode=Opcode.LOAD_A, writes=writes)

    def _write(self, m, chunks, asked):
        full = self.line_valid & self.line.last & self.line.tag.full
        m.d.comb += self.write_valid.eq(self.line_valid)
        m.d.sync += self.write_half.eq(self.write_half ^ full)
        with m.If(full):
            m.d.sync += self.write_line.eq(0)
        with m.Elif(self.line_valid):
            m.d.sync += self.write_line.eq(self.write_line + 1)
        return full, self.line.tag.end, Const(1, 1)
