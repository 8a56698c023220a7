"""The B and the C side of EXEC around the array's control, which says when their words are taken.

Cells and operands of A are left out: the sums that leave the array are random numbers.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from sparsat.hw.array_op import ArrayOp
from sparsat.hw.conductor import Conductor
from sparsat.hw.config import SATConfig
from sparsat.hw.edges import SEND_TO_PACKED
from sparsat.hw.exec_sequencer import CHUNK
from sparsat.hw.instruction import fields_layout
from sparsat.hw.isa.instructions import Advance, Exec, Opcode
from sparsat.hw.request import encode_request, request_layout
from sparsat.hw.row_head import RowHead
from sparsat.hw.timing import DECODE, FEED, FEED_AHEAD, OPEN, sums_return
from sparsat.hw.walk import later
from sparsat.sim.engines.decoded import array_op


class Control(wiring.Component):
    """What `STCE` does without its cells: when it takes and gives words.

    Members
    -------
    i, step_valid, step_ready
        Those of `STCE`.
    b_ready, c_ready, o_valid : Out(cols)
        A bit for each column.
    """

    def __init__(self, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(request_layout(config))),
                "step_valid": In(1),
                "step_ready": Out(1),
                **{name: Out(config.cols) for name in ("b_ready", "c_ready", "o_valid")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.conductor = conductor = Conductor(config=self.config)
        connect(m, flipped(self.i), conductor.i)
        heads: list[RowHead] = []
        for r in range(self.config.rows):
            m.submodules[f"head_{r}"] = head = RowHead(config=self.config, top=r == 0)
            above = heads[-1] if r else None
            m.d.comb += [
                head.op.eq(conductor.op),
                head.slot.eq(above.slot_out if above else conductor.slot),
                head.slot_valid.eq(above.slot_out_valid if above else conductor.slot_valid),
                head.north.eq(above.south if above else 0),
            ]
            heads.append(head)
        south = heads[-1].south
        marks = {
            "b_ready": conductor.b_ready,
            "c_ready": heads[0].c_ready,
            "o_valid": later(m, south.valid & south.out, SEND_TO_PACKED),
        }
        m.d.comb += [
            conductor.step_valid.eq(self.step_valid),
            self.step_ready.eq(conductor.step_ready),
            conductor.done.eq(heads[-1].done),
        ]
        for name, mark in marks.items():
            for c in range(self.config.cols):
                m.d.comb += getattr(self, name)[c].eq(later(m, mark, c))
        return m


@dataclass
class Chunk:
    """A chunk: the fields of `CHUNK`, the slots of one pass, operations of the array that begin
    with it, and the time a feeder takes for its first slot."""

    bits: dict[str, int]
    slots: int
    operations: list[ArrayOp]
    feed: int


def chunks_of(config: SATConfig, execs: list[Exec]) -> list[list[Chunk]]:
    """The chunks of each EXEC, with the halves they use."""
    halves = dict.fromkeys("abc", 1)
    return [_chunks(config, e, halves) for e in execs]


def _chunks(config: SATConfig, e: Exec, halves: dict[str, int]) -> list[Chunk]:
    places = [(o, i) for o in range(e.outer) for i in range(e.inner)]
    fresh, again = (array_op(e, resumed=resumed) for resumed in (False, True))
    found: list[Chunk] = []
    goes_on, operation = False, 0
    for at, place in enumerate(places):
        last, continues = at + 1 == len(places), goes_on
        for half in halves:
            halves[half] ^= _begins(e, half, *place)
        resumed = bool(e.resume or (e.chain and at and not _begins(e, "c", *place)))
        ends_c = last or _begins(e, "c", *places[at + 1])
        if resumed:
            goes_on = sums_return(config, again) and not ends_c
        else:
            goes_on = not (e.ws or e.chain or e.resume or last)
        bits = {f"{half}_half": now for half, now in halves.items()}
        bits |= {"resumed": resumed, "continues": continues, "goes_on": goes_on}
        op = again if resumed else fresh
        operations = [] if continues else [op, *[again] * (e.passes - 1 if e.ws else 0)]
        found.append(Chunk(bits, op.tiles * op.groups, operations, fresh.feed(config)))
        if continues:
            begun = found[operation].operations
            begun[0] = replace(begun[0], tiles=begun[0].tiles + op.tiles)
        else:
            operation = at
    return found


def _begins(e: Exec, half: str, o: int, i: int) -> bool:
    if o == i == 0:
        return not getattr(e, f"{half}_held")
    advance = getattr(e, f"{half}_advance")
    return advance == Advance.EVERY or (advance == Advance.OUTER and i == 0)


@dataclass
class Trace:
    """Words by column in their order, and whether one was late or not in its half."""

    b: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    c: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    o: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    late: bool = False
    outside: bool = False


class Sequencer:
    """Does what the sequencer of EXEC does, as early as it may or, at random, later.

    Members
    -------
    cycle : the present one; `next(script)` in each.
    requests : operations for the array as (first cycle, operation, half of C).
    done : all slots are issued and all operations taken.
    """

    def __init__(self, config: SATConfig, execs: list[Exec], seed: int, stall: float):
        self.rng, self.stall, self.cycle = random.Random(seed), stall, 0
        self.execs, self.chunks = execs, chunks_of(config, execs)
        self.ready: list[int] = []  # for each slot that is not issued
        self.requests: list[tuple[int, ArrayOp, int]] = []
        self.script = self._run()
        self.decoded, self.done = False, False
        self.chunk: Chunk | None = None
        self.x = Exec()

    def _run(self) -> Iterator[None]:
        for e, chunks in zip(self.execs, self.chunks, strict=True):
            while self.ready:
                yield
            self.decoded = True
            yield
            self.decoded, self.x = False, e
            for _ in range(DECODE - 2):
                yield
            for number, chunk in enumerate(chunks):
                while number and len(self.ready) > min(FEED_AHEAD, chunk.slots - 1):
                    yield
                while self.rng.random() < self.stall:
                    yield
                self._take(chunk)
                yield
                self.chunk = None
        while self.ready or self.requests:
            yield
        self.done = True

    def _take(self, chunk: Chunk) -> None:
        """Its tokens were taken in the cycle before this one."""
        self.chunk, taken = chunk, self.cycle - 1
        slots = chunk.slots * max(1, len(chunk.operations))
        self.ready += [taken + chunk.feed + FEED] * slots
        self.requests += [(taken + OPEN, op, chunk.bits["c_half"]) for op in chunk.operations]

    def tell(self, ctx, side) -> None:
        """Drive what both sides hear."""
        ctx.set(side.decoded, self.decoded)
        ctx.set(side.chunk_valid, self.chunk is not None)
        if self.chunk is not None:
            ctx.set(side.chunk, CHUNK.const(self.chunk.bits))
        ctx.set(side.x, fields_layout(Opcode.EXEC).const({"opcode": 0, **vars(self.x)}))

    @property
    def request(self) -> ArrayOp | None:
        due = self.requests and self.requests[0][0] <= self.cycle
        return self.requests[0][1] if due else None

    @property
    def step_valid(self) -> bool:
        return bool(self.ready) and self.ready[0] <= self.cycle

    def issued(self) -> None:
        self.ready.pop(0)


def run(
    config: SATConfig, b, c, execs: list[Exec], seed: int, stall: float, before, after
) -> Trace:
    """Run EXECs on a `BSide` and a `CSide`, `before(ctx)` and `after(ctx)` around that."""
    m, control = Module(), Control(config)
    m.submodules.control = control
    m.submodules.b, m.submodules.c = b, c
    m.d.comb += c.opened.eq(control.i.valid & control.i.ready)
    for n in range(config.cols):
        m.d.comb += [
            getattr(b, f"b_ready_{n}").eq(control.b_ready[n]),
            getattr(c, f"c_ready_{n}").eq(control.c_ready[n]),
            getattr(c, f"o_valid_{n}").eq(control.o_valid[n]),
        ]
    trace, sim = Trace(), Simulator(m)
    sim.add_clock(1e-6)

    async def testbench(ctx):
        await before(ctx)
        await _drive(ctx, config, control, b, c, Sequencer(config, execs, seed, stall), trace)
        await after(ctx)

    sim.add_testbench(testbench)
    sim.run()
    return trace


async def _drive(ctx, config, control, b, c, sequencer, trace):
    """Run until all sums have left."""
    half, idle, told = 0, 0, None
    while idle < 40 + 2 * config.cols:
        next(sequencer.script, None)
        now = sequencer.decoded, sequencer.chunk, sequencer.x
        if now != told:
            told = now
            sequencer.tell(ctx, b)
            sequencer.tell(ctx, c)
        request = sequencer.request
        ctx.set(control.i.valid, request is not None)
        if request is not None:
            bits = encode_request(config, request)
            ctx.set(control.i.payload, control.i.payload.shape().from_bits(bits))
        ctx.set(control.step_valid, sequencer.step_valid)
        # STORE reads the half from which the array reads nothing.
        place = {"valid": sequencer.cycle % 3 > 0, "half": 1 - half, "row": sequencer.cycle % 8}
        ctx.set(c.store, c.store.shape().const(place))

        ready = ctx.get(control.i.ready)
        if request is not None and ready:
            half = sequencer.requests.pop(0)[2]
        if ctx.get(control.step_ready):
            sequencer.issued()
        _words(ctx, config, control, b, c, sequencer.rng, trace)
        trace.late |= bool(ctx.get(b.late | c.late))
        trace.outside |= bool(ctx.get(b.outside | c.outside))
        idle = idle + 1 if sequencer.done and ready and request is None else 0
        sequencer.cycle += 1
        await ctx.tick()


def _words(ctx, config, control, b, c, rng, trace):
    """What the array takes and gives in this cycle."""
    b_ready, c_ready = ctx.get(control.b_ready), ctx.get(control.c_ready)
    o_valid = ctx.get(control.o_valid)
    for n in range(config.cols):
        if b_ready >> n & 1:
            trace.b[n].append(ctx.get(getattr(b, f"b_{n}")))
        if c_ready >> n & 1:
            trace.c[n].append(ctx.get(getattr(c, f"c_{n}")))
        if o_valid >> n & 1:
            trace.o[n].append(rng.getrandbits(32))
            ctx.set(getattr(c, f"o_{n}"), trace.o[n][-1])
