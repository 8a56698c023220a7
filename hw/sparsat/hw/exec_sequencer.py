"""EXEC in time: which tokens, which operations of the array, when what is given back."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig
from sparsat.hw.exec_faults import exec_fault
from sparsat.hw.exec_plan import PLAN_LATENCY, SLOT_BITS, TIME_BITS, ExecPlan
from sparsat.hw.fifo import Queue
from sparsat.hw.instruction import Error, fields_layout, queued_layout
from sparsat.hw.isa.instructions import Advance, Opcode, Sem
from sparsat.hw.loops import nest
from sparsat.hw.request import request_layout
from sparsat.hw.semaphores import SEMS, TOKENS
from sparsat.hw.timing import DECODE, FEED, FEED_AHEAD, OPEN

assert PLAN_LATENCY < DECODE  # an instruction's plan is there before its first tokens are taken
UNDER_WAY = 16
"""Chunks of one operation whose operands or sums are still in the array, at most."""

CHUNK = StructLayout(
    {"a_half": 1, "b_half": 1, "c_half": 1, "resumed": 1, "continues": 1, "goes_on": 1}
)
"""A chunk whose tokens are taken: its halves of the scratchpads, whether its sums go on from those
of C, whether it is one operation of the array with the chunk before, or with the one after."""

TAKES = {"a": Sem.A_FULL, "b": Sem.B_FULL, "c": Sem.C_FREE}
GIVES = {"a": Sem.A_FREE, "b": Sem.B_FREE, "c": Sem.C_FULL}
"""What a chunk takes when it begins with a half, and gives when it is done with it."""
ENDS = StructLayout({"a": 1, "b": 1, "c": 1, "end": 1, "signal": SEMS})
"""What is given when an operation has left the array: halves, and the instruction's end."""
MARKS = StructLayout({"a": 1, "b": 1, "c": 1})
"""Of a chunk: halves of A and B that its last slot frees, whether its first slot is that with which
the sums of the chunk before begin to leave for good."""


def told_ports() -> dict[str, wiring.Member]:
    """Ports of whoever walks an instruction's chunks, by the names of the sequencer's."""
    return {
        "decoded": In(1),
        "x": In(fields_layout(Opcode.EXEC)),
        "chunk_valid": In(1),
        "chunk": In(CHUNK),
    }


def tell(m: Module, source, *walkers) -> None:
    """Wire them from the sequencer, or from a component that has them itself."""
    for walker in walkers:
        for name in told_ports():
            m.d.comb += Value.cast(getattr(walker, name)).eq(Value.cast(getattr(source, name)))


class ExecSequencer(wiring.Component):
    """Runs the chunks of EXECs on the array, at the times of docs/architecture.md.

    It stops with the error FIELD at an instruction that the array cannot run.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    i : In(stream of queued_layout)
    tokens : Out(TOKENS)
    x : Out(fields_layout(EXEC))
        The instruction, from the cycle after `decoded` on until the next one is.
    decoded : Out(1)
        An instruction is taken from `i`.
    chunk_valid : Out(1), chunk : Out(CHUNK)
        The tokens of the next chunk are taken. The first one comes `DECODE` cycles after `decoded`
        or later.
    request : Out(stream of request_layout)
        The array's operations; it is idle when it is ready.
    step_valid : Out(1), step_ready : In(1)
        Its slots.
    stop : In(1)
        Take no more tokens.
    started, ended : Out(1)
        An instruction has its semaphores; one has ended.
    waits : Out(1)
        For semaphores or an instruction, with nothing in the array.
    idle : Out(1)
        There is no instruction.
    error : Out(Error), error_number : Out
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        queued = queued_layout(Opcode.EXEC)
        super().__init__(
            {
                "i": In(stream.Signature(queued)),
                "tokens": Out(TOKENS),
                "x": Out(fields_layout(Opcode.EXEC)),
                "decoded": Out(1),
                "chunk_valid": Out(1),
                "chunk": Out(CHUNK),
                "request": Out(stream.Signature(request_layout(config))),
                "step_valid": Out(1),
                "step_ready": In(1),
                "stop": In(1),
                "started": Out(1),
                "ended": Out(1),
                "waits": Out(1),
                "idle": Out(1),
                "error": Out(Error),
                "error_number": Out(queued["number"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.planner = planner = ExecPlan(config=self.config)
        m.d.comb += planner.x.eq(self.x)
        plan = planner.plan
        taken, step, running, decoding = (
            Signal(name=name) for name in ("taken", "step", "running", "decoding")
        )
        loops = self._loops(m, taken, ~decoding)
        resumed, goes_on, continues = self._operations(m, plan, loops, taken)
        unissued = self._unissued(m, plan, taken, step)
        self._instructions(m, loops, taken, decoding, unissued, running)
        self._halves(m, loops, taken, resumed, continues, goes_on)
        left = self._request(m, plan, loops, taken, resumed, goes_on, continues, running)
        freed = self._slots(m, plan, loops, taken, ~decoding, step, continues)
        m.d.comb += [
            self.ended.eq(left.end),
            self.tokens.give.eq(
                left.signal
                | sum(((left[half] | freed[half]) << sem for half, sem in GIVES.items()), 0)
            ),
        ]
        return m

    def _loops(self, m, taken, run):
        """What begins and ends with the chunk whose tokens are taken next."""
        x = self.x
        levels = nest(m, run, taken, {"inner": x.inner, "outer": x.outer})
        row_last, last = levels["inner"].last, levels["outer"].final
        first, row_first = Signal(), Signal()
        with m.If(~run):
            m.d.sync += [first.eq(1), row_first.eq(1)]
        with m.Elif(taken):
            m.d.sync += [first.eq(0), row_first.eq(row_last)]
        edges = {f"{half}_{edge}": 1 for half in TAKES for edge in ("begins", "ends")}
        loops = Signal(StructLayout({"first": 1, "last": 1, **edges}))
        m.d.comb += [loops.first.eq(first), loops.last.eq(last)]
        for half in TAKES:
            advance, held, keep = (x[f"{half}_{name}"] for name in ("advance", "held", "keep"))
            every, with_outer = advance == Advance.EVERY, advance == Advance.OUTER
            m.d.comb += [
                loops[f"{half}_begins"].eq(Mux(first, ~held, every | (with_outer & row_first))),
                loops[f"{half}_ends"].eq(Mux(last, ~keep, every | (with_outer & row_last))),
            ]
        return loops

    def _operations(self, m, plan, loops, taken):
        """Whether the next chunk is resumed, whether its operation goes on after it, and whether it
        belongs to the operation of the chunk before."""
        x = self.x
        resumed, goes_on, continues = Signal(), Signal(), Signal()
        new_sums = loops.first | loops.c_begins
        m.d.comb += [
            resumed.eq(x.resume | (x.chain & ~new_sums)),
            goes_on.eq(
                Mux(resumed, plan.resumed_goes_on & ~loops.c_ends, plan.fresh_goes_on) & ~loops.last
            ),
        ]
        with m.If(taken):
            m.d.sync += continues.eq(goes_on)
        return resumed, goes_on, continues

    def _unissued(self, m, plan, taken, step):
        """Slots of chunks that have their tokens: in registers, whether there are none, and whether
        only the last ones of a chunk, so that the next one may have its tokens.

        `FEED_AHEAD` at most, and less than a pass has: more are left when tokens have been taken.
        """
        unissued = Signal(SLOT_BITS + 1)
        most = Signal(range(FEED_AHEAD + 1))
        found = Signal(StructLayout({"none": 1, "few": 1}), init={"none": 1, "few": 1})
        m.d.sync += [
            most.eq(Mux(plan.pass_slots > FEED_AHEAD, FEED_AHEAD, plan.pass_slots - 1)),
            unissued.eq(unissued + Mux(taken, plan.slots, 0) - step),
            found.none.eq(~taken & Mux(step, unissued == 1, unissued == 0)),
            found.few.eq(~taken & Mux(step, unissued <= most + 1, unissued <= most)),
        ]
        return found

    def _instructions(self, m, loops, taken, decoding, unissued, running):
        """Instructions from the queue, their semaphores and tokens."""
        x, tokens = self.x, self.tokens
        left = Signal(range(DECODE))
        free, may_take = Signal(), Signal()
        fault = exec_fault(m, self.config, x)
        m.d.sync += left.eq(left - 1)
        m.d.comb += may_take.eq(~self.stop & unissued.few)
        due = sum((loops[f"{half}_begins"] << sem for half, sem in TAKES.items()), 0)

        def take():
            m.d.comb += [tokens.take.eq(due), taken.eq(tokens.taken)]
            m.next = "CHUNK"
            with m.If(tokens.taken & loops.last):
                m.next = "LAST"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += free.eq(1)
                with m.If(self.decoded):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.comb += decoding.eq(1)
                with m.If(left == 0):
                    m.next = "WAIT"
                    with m.If(fault):
                        m.d.sync += self.error.eq(Error.FIELD)
                        m.next = "STOPPED"
            with m.State("WAIT"):
                with m.If(~self.stop):
                    m.d.comb += [tokens.wait.eq(x.wait), self.started.eq(tokens.waited)]
                    with m.If(tokens.waited):
                        take()
            with m.State("CHUNK"):
                with m.If(may_take):
                    take()
            with m.State("LAST"):
                m.d.comb += free.eq(unissued.none)
                with m.If(free):
                    m.next = "IDLE"
                with m.If(self.decoded):
                    m.next = "DECODE"
            with m.State("STOPPED"):
                pass
        m.d.comb += [
            self.i.ready.eq(free & ~self.stop),
            self.decoded.eq(self.i.valid & self.i.ready),
            self.idle.eq(free & ~running),
            self.waits.eq(
                ~running & (free | fsm.ongoing("WAIT") | (fsm.ongoing("CHUNK") & may_take))
            ),
        ]
        with m.If(self.decoded):
            m.d.sync += [x.eq(self.i.payload.x), self.error_number.eq(self.i.payload.number)]
            m.d.sync += left.eq(DECODE - 2)

    def _halves(self, m, loops, taken, resumed, continues, goes_on):
        """The chunk for those that bring operands and take sums."""
        chunk = self.chunk
        m.d.sync += [
            self.chunk_valid.eq(taken),
            chunk.resumed.eq(resumed),
            chunk.continues.eq(continues),
            chunk.goes_on.eq(goes_on),
        ]
        for half in TAKES:
            current = Signal(init=1, name=f"{half}_half")
            new = Signal(name=f"{half}_next")
            m.d.comb += new.eq(current ^ loops[f"{half}_begins"])
            with m.If(taken):
                m.d.sync += [current.eq(new), chunk[f"{half}_half"].eq(new)]

    def _request(self, m, plan, loops, taken, resumed, goes_on, continues, running):
        """Operations of the array; what is given back when they have left it."""
        x, request = self.x, self.request
        pending, current = Signal(ENDS), Signal(ENDS)
        passes, again = Signal(16), Signal()
        info = Signal(ENDS)
        m.d.comb += [
            info.a.eq(x.ws & loops.a_ends),
            info.b.eq(x.ws & loops.b_ends),
            info.c.eq(loops.c_ends),
            info.end.eq(loops.last),
            info.signal.eq(Mux(loops.last, x.signal, 0)),
        ]
        goes, final = Signal(), Signal()
        m.d.comb += [goes.eq(request.valid & request.ready), final.eq(passes == 1)]
        with m.If(goes):
            m.d.sync += [running.eq(1), passes.eq(passes - 1), again.eq(1)]
            m.d.sync += current.eq(Mux(final, pending.as_value(), 0))
        with m.Elif(request.ready):
            m.d.sync += [running.eq(0), current.eq(0)]
        with m.If(taken & ~continues):
            m.d.sync += [
                passes.eq(plan.passes),
                again.eq(resumed),
                pending.eq(Mux(goes_on, 0, info.as_value())),
            ]
        with m.If(taken & continues & ~goes_on):
            m.d.sync += current.eq(info)
        opens = Signal(range(OPEN))
        with m.If(opens != 0):
            m.d.sync += opens.eq(opens - 1)
        with m.If(taken & ~continues):
            m.d.sync += opens.eq(OPEN - 1)
        m.d.comb += request.valid.eq((passes != 0) & (opens == 0))
        for name in ("ws", "a_mn", "b_mn", "n", "log_m", "ir", "is_", "groups", "least_period"):
            m.d.comb += request.payload[name].eq(x[name])
        m.d.comb += [
            request.payload.resume.eq(again),
            request.payload.tiles.eq(Mux(again, plan.resumed_tiles, plan.fresh_tiles)),
        ]
        left = Signal(ENDS)
        with m.If(request.ready):
            m.d.comb += left.eq(current)
        return left

    def _slots(self, m, plan, loops, taken, run, step, continues):
        """Let slots go when their operands are there. Returns what they free, and when."""
        ready = Signal(SLOT_BITS + 1)  # unissued slots whose operands are there
        wait, arrives = Signal(range(1024)), Signal()
        m.d.comb += [
            step.eq(self.step_valid & self.step_ready),
            arrives.eq(wait == 1),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(taken):
            m.d.sync += wait.eq(plan.feed + (FEED - 1))
        m.d.sync += [
            ready.eq(ready + Mux(arrives, plan.slots, 0) - step),
            self.step_valid.eq(arrives | Mux(step, ready > 1, ready != 0)),
        ]

        m.submodules.marks = marks = Queue(shape=MARKS, depth=4)
        sums_wait = Signal()  # those of the last chunk, for the first slot of the next
        with m.If(taken):
            m.d.sync += sums_wait.eq(loops.c_ends)
        entry = marks.i.payload
        m.d.comb += [
            marks.i.valid.eq(taken),
            entry.a.eq(loops.a_ends & ~self.x.ws),
            entry.b.eq(loops.b_ends & ~self.x.ws),
            entry.c.eq(continues & sums_wait),
        ]
        first, last, now = Signal(), Signal(), Signal(TIME_BITS)
        final, begins = nest(m, run, step, {"slot": plan.slots})["slot"].final, Signal(init=1)
        m.d.comb += [first.eq(step & begins), last.eq(step & final), marks.o.ready.eq(last)]
        with m.If(step):
            m.d.sync += begins.eq(final)
        m.d.sync += now.eq(now + 1)
        mark, freed = marks.o.payload, Signal(MARKS)
        a_and_b = self._at(m, "operands", now, plan.release, last & (mark.a | mark.b), mark)
        c = self._at(m, "sums", now, plan.tail, first & mark.c, mark)
        m.d.comb += [freed.a.eq(a_and_b.a), freed.b.eq(a_and_b.b), freed.c.eq(c.c)]
        return freed

    @staticmethod
    def _at(m, name, now, delay, happens, mark):
        """`mark`, for one cycle, `delay` cycles after something `happens`."""
        due = StructLayout({"time": TIME_BITS, "mark": MARKS})
        m.submodules[name] = queue = Queue(shape=due, depth=UNDER_WAY)
        # The first one waits in a register, which is filled again long before it is due.
        first, waits, found = Signal(due), Signal(), Signal(MARKS, name=f"{name}_due")
        m.d.comb += [
            queue.i.valid.eq(happens),
            queue.i.payload.time.eq(now + delay),
            queue.i.payload.mark.eq(mark),
            queue.o.ready.eq(~waits),
        ]
        with m.If(~waits):
            m.d.sync += [first.eq(queue.o.payload), waits.eq(queue.o.valid)]
        with m.Elif(first.time == now):
            m.d.comb += found.eq(first.mark)
            m.d.sync += waits.eq(0)
        return found
