"""LOAD_A and LOAD_B as far as lines go straight to the scratchpad: mode COPY."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.bursts import OPEN, answer_layout, request_bits, request_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import Error, fields_layout, queued_layout
from sparsat.hw.isa.instructions import Mode, Opcode, Sem
from sparsat.hw.load_walk import LoadWalk, half_lines
from sparsat.hw.semaphores import TOKENS
from sparsat.hw.timing import SETUP

FREE = {Opcode.LOAD_A: Sem.A_FREE, Opcode.LOAD_B: Sem.B_FREE}
FULL = {Opcode.LOAD_A: Sem.A_FULL, Opcode.LOAD_B: Sem.B_FULL}


class Load(wiring.Component):
    """Engine of LOAD_A or LOAD_B.

    It takes an instruction, its semaphores and its first chunk's token in one cycle if all are
    there. A chunk's first burst is asked for `SETUP` cycles after its token, the others one after
    another. Lines are written in the cycle in which they come; A_FULL or B_FULL is given one cycle
    after the chunk's last one.

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
    idle : Out(1)
        None is under way.
    error : Out(Error), error_number : Out
        The engine has stopped, at instruction `error_number`.
    """

    def __init__(self, *, config: SATConfig, opcode: Opcode):
        if opcode not in FREE:
            raise ValueError(f"opcode is {opcode!r}, it must be LOAD_A or LOAD_B")
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
        m.submodules.walk = walk = LoadWalk(config=self.config, opcode=self.opcode)
        x = Signal(fields_layout(self.opcode))
        burst = walk.burst
        tag = {name: burst[name] for name in ("index", "full", "end")}
        request = request_bits(
            self.config,
            tag | {"number": self.error_number},
            line=burst.line,
            count=burst.count,
        )
        with m.If(walk.begin):
            m.d.sync += [x.eq(self.i.payload.x), self.error_number.eq(self.i.payload.number)]
        m.d.comb += [
            walk.first.eq(self.i.payload.x),
            walk.x.eq(x),
            walk.step.eq(self.request.valid & self.request.ready),
            self.request.payload.eq(request),
        ]
        self._sequence(m, x, walk)
        self._write(m)
        return m

    def _sequence(self, m, x, walk):
        setup = Signal(range(SETUP))
        m.d.sync += setup.eq(setup - 1)

        def begin(wait):
            """Take the semaphores of `wait`, and then the chunk's token, if they are there."""
            m.d.comb += [self.tokens.wait.eq(wait), self.started.eq(self.tokens.waited)]
            m.next = "WAIT"
            with m.If(self.tokens.waited):
                chunk()

        def chunk():
            m.d.comb += self.tokens.take.eq(1 << FREE[self.opcode])
            m.d.sync += setup.eq(SETUP - 2)
            m.next = "CHUNK"
            with m.If(self.tokens.taken):
                m.next = "SETUP"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), walk.begin.eq(self.i.valid)]
                with m.If(self.i.valid):
                    begin(self.i.payload.x.wait)
            with m.State("WAIT"):
                begin(x.wait)
            with m.State("CHUNK"):
                chunk()
            with m.State("SETUP"):
                m.d.comb += walk.chunk.eq(1)
                with m.If(self._bad_fields(x)):
                    m.d.sync += self.error.eq(Error.FIELD)
                    m.next = "STOPPED"
                with m.Elif(setup == 0):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.request.valid.eq(~walk.burst.outside)
                with m.If(walk.burst.outside):
                    m.d.sync += self.error.eq(Error.RANGE)
                    m.next = "STOPPED"
                with m.Elif(walk.step & walk.burst.end):
                    m.next = "IDLE"
                with m.Elif(walk.step & walk.burst.full):
                    m.next = "CHUNK"
            with m.State("STOPPED"):
                pass
        # Those under way: at most one whose first burst has not begun, and those in memory.
        under_way = Signal(range(OPEN + 2))
        m.d.sync += under_way.eq(under_way + walk.begin - self.ended)
        m.d.comb += self.idle.eq(fsm.ongoing("IDLE") & (under_way == 0))

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
