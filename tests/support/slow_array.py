"""The slow machine's EXEC: a feeder that takes tokens, an array that issues slot after slot."""

from collections import deque
from dataclasses import dataclass
from itertools import product

from slow_core import Machine, Steps
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.isa.instructions import Advance, Exec, Sem
from sparsat.hw.timing import START, array_tail, sums_return

DECODE, FEED, FEED_AHEAD, OPEN, RELEASE = 32, 20, 3, 8, 4


@dataclass
class Chunk:
    """A chunk whose tokens were taken in cycle `tokens`; `ends` of halves of A, B, C after it."""

    x: Exec
    index: int
    tokens: int
    resumed: bool
    last: bool
    ends: list[bool]
    issued: int = 0

    def ends_operation(self, returning: bool) -> bool:
        """Whether the next chunk cannot join; `returning`: C has its sums back by then."""
        if self.x.ws or self.last:
            return True
        if not self.x.chain and not self.x.resume:
            return False
        return not self.resumed or self.ends[2] or not returning


class Execution:
    """Feeder and array; `chunks` that one has begun and the other not ended."""

    def __init__(self, m: Machine) -> None:
        self.m, self.idle = m, 0
        self.chunks: deque[Chunk] = deque()

    def feeder(self) -> Steps:
        """Decodes, takes tokens, and tells the array of chunks."""
        m = self.m
        while True:
            index = yield from m.instruction("EXEC", DECODE)
            x = m.program[index]
            assert isinstance(x, Exec)
            places = list(product(range(x.outer), range(x.inner)))
            for number, (_, i) in enumerate(places):
                last = number == len(places) - 1
                begins = halves(x, i == 0, number == 0, "held")
                tokens = zip((Sem.A_FULL, Sem.B_FULL, Sem.C_FREE), begins, strict=True)
                yield from m.take([sem for sem, on in tokens if on])
                ends = halves(x, i == x.inner - 1, last, "keep")
                resumed = bool(x.resume or (x.chain and number > 0 and not begins[2]))
                chunk = Chunk(x, index, m.now, resumed, last, ends)
                self.chunks.append(chunk)
                slots = tiles_of(x) * x.groups
                before_last_pass = slots * (x.passes - 1 if x.ws else 0)
                wanted = slots if last else max(slots - FEED_AHEAD, 1)
                while chunk.issued < before_last_pass + wanted:
                    yield
                yield from m.until(m.now + 1)

    def array(self) -> Steps:
        """Takes operations, one after another."""
        while True:
            while not self.chunks:
                yield
            chunk = self.chunks[0]
            for number in range(chunk.x.passes if chunk.x.ws else 1):
                yield from self.operation(chunk, number)

    def operation(self, chunk: Chunk, number: int) -> Steps:
        """The operation that begins with this chunk, or pass `number` of the chunk."""
        m, x = self.m, chunk.x
        op = operation_of(x, chunk.resumed or number > 0)
        period, tail = op.period(m.config), array_tail(m.config, op)
        drain = (m.config.rows + op.resume) * op.interleave
        taken = max(self.idle, 0 if number else chunk.tokens + OPEN)
        yield from m.until(taken + START + (1 + drain if op.resume and not x.ws else 0))
        begins: list[int] = []  # first slots of tiles
        issued = -period
        before = None
        while True:
            for tile in range(op.tiles):
                yield from m.until(self.tile_at(op, begins, drain, taken))
                if tile == 0 and not number:
                    yield from m.until(
                        chunk.tokens + op.feed(m.config, bool(chunk.x.a_shared)) + FEED
                    )
                for group in range(op.groups):
                    yield from m.until(issued + period)
                    if group == 0:
                        begins.append(m.now)
                    if group == 0 and tile == 0 and before:
                        self.sums_leave(before, m.now + tail)
                    issued = m.now
                    chunk.issued += 1
            if not x.ws:
                self.release(
                    chunk, issued + op.load_b + max(m.config.rows, m.config.cols) + RELEASE
                )
            if chunk.ends_operation(returning=sums_return(m.config, op)):
                break
            before = chunk
            self.chunks.popleft()
            while not self.chunks:
                yield
            chunk = self.chunks[0]
        yield from m.until(issued + period)
        if not x.ws:
            yield from m.until(self.tile_at(op, begins, drain, taken))
        self.idle = m.now + tail
        if not x.ws or number == x.passes - 1:
            self.chunk_ends(chunk)
        yield from m.until(self.idle)

    def tile_at(self, op: ArrayOp, begins: list[int], drain: int, taken: int) -> int:
        """When the tile after these may begin, for the sake of those before it."""
        if op.dataflow is Dataflow.WS:
            spacing = max(op.groups, self.m.config.rows) * op.period(self.m.config)
            return begins[-1] + spacing if begins else 0
        if len(begins) == 1 and op.resume:
            return taken + START - 1 + 2 * drain
        return begins[-1] + drain if len(begins) >= 2 else 0

    def chunk_ends(self, chunk: Chunk) -> None:
        """The last chunk of an operation has left when the array is idle."""
        if chunk.x.ws:
            self.release(chunk, self.idle)
        self.sums_leave(chunk, self.idle)
        if chunk.last:
            self.m.end(self.idle, chunk.index)
        self.chunks.popleft()

    def release(self, chunk: Chunk, cycle: int) -> None:
        done = zip((Sem.A_FREE, Sem.B_FREE), chunk.ends[:2], strict=True)
        self.m.give(cycle, [sem for sem, on in done if on])

    def sums_leave(self, chunk: Chunk, cycle: int) -> None:
        if chunk.ends[2]:
            self.m.give(cycle, [Sem.C_FULL])


def halves(x: Exec, edge: bool, extreme: bool, flag: str) -> list[bool]:
    """For A, B, C: whether a half begins (ends) with a chunk at this edge of the loops."""
    found = []
    for name in "abc":
        advance = getattr(x, f"{name}_advance")
        if extreme:
            found.append(not getattr(x, f"{name}_{flag}"))
        else:
            found.append(advance == Advance.EVERY or (advance == Advance.OUTER and edge))
    return found


def tiles_of(x: Exec) -> int:
    return x.products0 * x.products1 * x.tiles_q * (1 if x.ws else x.tiles_p)


def operation_of(x: Exec, resumed: bool) -> ArrayOp:
    return ArrayOp(
        dataflow=Dataflow.WS if x.ws else Dataflow.OS,
        n=x.n,
        m=x.m,
        ir=x.ir,
        is_=x.is_,
        groups=x.groups,
        tiles=tiles_of(x),
        least_period=x.least_period,
        a_order=Order.MN if x.a_mn else Order.K,
        b_order=Order.MN if x.b_mn else Order.K,
        resume=resumed,
    )
