"""The machine cycle after cycle in plain Python, written from docs/architecture.md: slow.

Engines are generators that are resumed once in every cycle, in the order of the page; they count
cycles by yielding. Only the array's constants come from `sparsat.hw.timing`.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from slow_ddr4 import SlowDdr4
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.timing import START, array_tail

LATENCY, BURST, SETUP, DECODE, DISPATCH, QUEUE = 60, 64, 4, 8, 4, 8
FEED, FEED_AHEAD, RELEASE, ROOM = 12, 3, 4, 4
TURNS = ("FETCH", "LOAD_A", "LOAD_B", "STORE", "UPDATE", "VECTOR")
KINDS = {LoadA: "LOAD_A", LoadB: "LOAD_B", Exec: "EXEC", Store: "STORE"}
KINDS |= {Update: "UPDATE", Vector: "VECTOR"}
Steps = Iterator[None]


@dataclass
class Seen:
    """What is seen of one instruction."""

    entered: int = -1
    start: int = -1
    end: int = -1
    read: int = 0
    written: int = 0


@dataclass
class Ask:
    """A burst that waits for memory, and then its service: cycles [first, end)."""

    asked: int
    lines: list[int]
    write: bool
    first: int = -1
    end: int = -1


class SlowFixed:
    def serve(self, asked: int, now: int, line: int, lines: int, write: bool) -> int:
        return now


def bursts(lines: list[int]) -> list[list[int]]:
    """Cut where the next line is not the next in memory, or the first of BURST aligned ones."""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][-1] + 1 and line % BURST:
            found[-1].append(line)
        else:
            found.append([line])
    return found


def lines_of(address: int, count: int, line_bytes: int) -> list[int]:
    """Lines that `count` bytes touch."""
    return list(range(address // line_bytes, (address + count - 1) // line_bytes + 1))


class SlowMachine:
    def __init__(self, config: SATConfig, program: list[Instruction], memory: str) -> None:
        self.config, self.program = config, program
        self.memory = SlowDdr4(config) if memory == "ddr4" else SlowFixed()
        self.seen = [Seen() for _ in program]
        self.sems = {sem: 0 for sem in Sem} | {Sem.A_FREE: 2, Sem.B_FREE: 2, Sem.C_FREE: 2}
        self.now, self.free, self.turn = 0, 0, 5
        self.due: dict[int, list[tuple[list[Sem], int]]] = defaultdict(list)
        self.queues: dict[str, deque[int]] = {name: deque() for name in KINDS.values()}
        self.asks: dict[str, Ask] = {}
        self.fetched: dict[int, int] = {}  # program line → cycle of its service
        self.next = 0
        self.last_entered = -1
        self.services: list[tuple[int, int]] = []
        self.array_chunks: deque[dict] = deque()
        self.idle = 0
        self.staged: deque[dict] = deque()
        self.to_write: deque[dict] = deque()
        self.finished = 0

    def run(self, most_cycles: int = 200_000) -> list[Seen]:
        engines = [
            self.fetch(),
            self.load("LOAD_A"),
            self.load("LOAD_B"),
            self.array(),
            self.feeder(),
            self.writer(),
            self.reader(),
            self.update(),
            self.vector(),
        ]
        while self.finished < len(self.program) - 1 or self.seen[-1].start < 0:
            for sems, instruction in self.due.pop(self.now, []):
                for sem in sems:
                    self.sems[sem] += 1
                if instruction >= 0:
                    self.seen[instruction].end = self.now
                    self.finished += 1
            for engine in engines:
                next(engine)
            self.dispatch()
            self.arbitrate()
            self.now += 1
            if self.now > most_cycles:
                raise RuntimeError("too slow, or a deadlock")
        halt = self.seen[-1]
        halt.end = max(halt.start, *(each.end for each in self.seen))
        return self.seen

    # Front: fetching, handing out, waiting for semaphores.

    def fetch(self) -> Steps:
        total = -(-256 * len(self.program) // self.config.line_bytes)
        parts = bursts(list(range(total)))
        for number, part in enumerate(parts):
            if number >= 2:  # the instructions that begin before the last fetched burst are gone
                while self.next * 256 // self.config.line_bytes < parts[number - 1][0]:
                    yield
            ask = yield from self.ask("FETCH", part, False)
            self.fetched |= {line: ask.first + i for i, line in enumerate(part)}
        while True:
            yield

    def dispatch(self) -> None:
        if self.next == len(self.program) or self.last_entered == self.now:
            return
        last_line = ((self.next + 1) * 256 - 1) // self.config.line_bytes
        ask = self.asks.get("FETCH")
        known = dict(self.fetched)
        if ask and ask.first >= 0:
            known |= {line: ask.first + i for i, line in enumerate(ask.lines)}
        if last_line not in known or self.now < known[last_line] + 1 + LATENCY + DISPATCH:
            return
        each, seen = self.program[self.next], self.seen[self.next]
        if isinstance(each, Halt):
            seen.entered = seen.start = self.now
        else:
            queue = self.queues[KINDS[type(each)]]
            if len(queue) == QUEUE:
                return
            queue.append(self.next)
            seen.entered = self.now
        self.last_entered = self.now
        self.next += 1

    def instruction(self, engine: str, decode: int = 0) -> Iterator[None]:
        """The engine's next instruction when it has its semaphores."""
        queue = self.queues[engine]
        while not queue or self.seen[queue[0]].entered == self.now:
            yield
        index = queue.popleft()
        yield from self.pause(decode)
        each = self.program[index]
        yield from self.take([sem for sem in Sem if each.wait >> sem & 1])
        self.seen[index].start = self.now
        return index

    def pause(self, cycles: int) -> Steps:
        for _ in range(cycles):
            yield

    def until(self, cycle: int) -> Steps:
        while self.now < cycle:
            yield

    def take(self, sems: list[Sem]) -> Steps:
        while not all(self.sems[sem] for sem in sems):
            yield
        for sem in sems:
            self.sems[sem] -= 1

    def give(self, cycle: int, sems: list[Sem], instruction: int = -1) -> None:
        assert cycle > self.now
        self.due[cycle].append((sems, instruction))

    def end(self, cycle: int, index: int) -> None:
        signal = self.program[index].signal
        self.give(cycle, [sem for sem in Sem if signal >> sem & 1], index)

    # Memory.

    def ask(self, engine: str, lines: list[int], write: bool, index: int = -1) -> Iterator[None]:
        """Ask now, and go on in the cycle after memory has begun to serve."""
        ask = self.asks[engine] = Ask(self.now, lines, write)
        while ask.first < 0:
            yield
        del self.asks[engine]
        if index >= 0 and write:
            self.seen[index].written += len(lines)
        elif index >= 0:
            self.seen[index].read += len(lines)
        return ask

    def arbitrate(self) -> None:
        if self.now < self.free:
            return
        for step in range(1, 7):
            turn = (self.turn + step) % 6
            ask = self.asks.get(TURNS[turn])
            if ask and ask.first < 0:
                count = len(ask.lines)
                ask.first = self.memory.serve(
                    ask.asked, self.now, ask.lines[0], count, ask.write
                )
                ask.end = self.free = ask.first + count
                self.turn = turn
                self.services.append((ask.first, ask.end))
                return

    # LOAD.

    def load(self, engine: str) -> Steps:
        full, free = (Sem.A_FULL, Sem.A_FREE) if engine == "LOAD_A" else (Sem.B_FULL, Sem.B_FREE)
        passed, out = [0] * ROOM, 0
        while True:
            index = yield from self.instruction(engine)
            each = self.program[index]
            for o, i in product(range(each.outer), range(each.inner)):
                yield from self.take([free])
                yield from self.pause(SETUP)
                for part, costs in self.load_bursts(each, o, i):
                    if any(costs):
                        yield from self.until(passed[-ROOM])
                    ask = yield from self.ask(engine, part, False, index)
                    out = max(out, ask.end + LATENCY)
                    for cost in costs:
                        out += cost
                    passed.append(out)
                self.give(out, [full])
            self.end(out, index)

    def load_bursts(self, each: LoadA, o: int, i: int) -> Iterator[tuple[list[int], list[int]]]:
        """The bursts of a chunk, each with the cycles that its lines take to pass."""
        line_bytes, cols = self.config.line_bytes, self.config.cols
        mode = each.mode if isinstance(each, LoadB) else Mode.COPY
        for s in range(each.segments):
            at = each.address + o * each.outer_stride + i * each.inner_stride
            first = (at + s * each.segment_stride) // line_bytes
            parts = bursts(list(range(first, first + each.lines)))
            cost = {
                Mode.COPY: 0,
                Mode.PRUNE: -(-line_bytes // 2 // self.config.sore_lanes),
                Mode.TRANSPOSE: -(-line_bytes // 2 // cols),
            }[Mode(mode)]
            for part in parts:
                costs = [cost] * len(part)
                if mode == Mode.TRANSPOSE and part is parts[-1]:
                    channels = each.lines // each.tokens * line_bytes // 2
                    costs.append((-(-each.tokens // cols) * cols - each.tokens) * channels // cols)
                yield part, costs
        if isinstance(each, LoadB) and each.index_lines:
            for s in range(each.segments):
                at = each.index_address + o * each.index_outer_stride + i * each.index_inner_stride
                first = (at + s * each.index_segment_stride) // line_bytes
                for part in bursts(list(range(first, first + each.index_lines))):
                    yield part, []

    # EXEC.

    def feeder(self) -> Steps:
        """Decodes, takes tokens, and tells the array of chunks."""
        while True:
            index = yield from self.instruction("EXEC", DECODE)
            x = self.program[index]
            places = list(product(range(x.outer), range(x.inner)))
            for number, (_, i) in enumerate(places):
                last = number == len(places) - 1
                begins = self.halves(x, i == 0, number == 0, "held")
                ends = self.halves(x, i == x.inner - 1, last, "keep")
                tokens = (Sem.A_FULL, Sem.B_FULL, Sem.C_FREE)
                yield from self.take([s for s, on in zip(tokens, begins, strict=True) if on])
                chunk = {
                    "x": x,
                    "index": index,
                    "tokens": self.now,
                    "resumed": bool(x.resume or (x.chain and i > 0)),
                    "alone": bool(x.ws or x.chain or x.resume),
                    "last": last,
                    "ends": ends,
                    "issued": 0,
                }
                self.array_chunks.append(chunk)
                slots = self.slots_of(x) * (x.passes if x.ws else 1)
                in_pass = self.slots_of(x)
                wanted = slots if last else slots - in_pass + max(in_pass - FEED_AHEAD, 1)
                while chunk["issued"] < wanted:
                    yield

    @staticmethod
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

    @staticmethod
    def tiles_of(x: Exec) -> int:
        return x.products0 * x.products1 * x.tiles_q * (1 if x.ws else x.tiles_p)

    def slots_of(self, x: Exec) -> int:
        return self.tiles_of(x) * x.groups

    def array(self) -> Steps:
        """Takes operations, issues slots."""
        while True:
            while not self.array_chunks:
                yield
            chunk = self.array_chunks[0]
            x = chunk["x"]
            for s in range(x.passes if x.ws else 1):
                yield from self.operation(x, chunk["resumed"] or s > 0, s, chunk["alone"])

    def operation(self, x: Exec, resumed: bool, number: int, alone: bool) -> Steps:
        op = ArrayOp(
            dataflow=Dataflow(1 if x.ws else 0),
            n=x.n,
            m=4 << x.log_m,
            ir=x.ir,
            is_=x.is_,
            groups=x.groups,
            tiles=self.tiles_of(x),
            a_order=Order(x.a_mn),
            b_order=Order(x.b_mn),
            resume=resumed,
        )
        rows, period, tail = self.config.rows, op.period(self.config), array_tail(self.config, op)
        drain = (rows + op.resume) * op.interleave
        chunk = self.array_chunks[0]
        taken = max(self.idle, 0 if number else chunk["tokens"])
        yield from self.until(taken + START + (1 + drain if resumed and not x.ws else 0))
        begins: list[int] = []  # first slots of tiles
        issued, before = -(10**9), None
        while True:
            for tile in range(op.tiles):
                yield from self.until(self.tile_at(op, begins, drain, taken))
                if tile == 0 and not number:
                    yield from self.until(chunk["tokens"] + op.feed(self.config) + FEED)
                for group in range(op.groups):
                    yield from self.until(issued + period)
                    if group == 0:
                        begins.append(self.now)
                    if group == 0 and tile == 0 and before is not None:
                        self.sums_leave(before, self.now + tail)
                    issued = self.now
                    chunk["issued"] += 1
            if not x.ws:
                self.release(chunk, issued + RELEASE)
            if alone or chunk["last"]:
                break
            before = chunk
            self.array_chunks.popleft()
            while not self.array_chunks:
                yield
            chunk = self.array_chunks[0]
        yield from self.until(issued + period)
        if not x.ws:
            yield from self.until(self.tile_at(op, begins, drain, taken))
        self.idle = self.now + tail
        if not x.ws or number == x.passes - 1:
            if x.ws:
                self.release(chunk, self.idle)
            self.sums_leave(chunk, self.idle)
            if chunk["last"]:
                self.end(self.idle, chunk["index"])
            self.array_chunks.popleft()
        yield from self.until(self.idle)

    def tile_at(self, op: ArrayOp, begins: list[int], drain: int, taken: int) -> int:
        """When the tile after these may begin, for the sake of those before it."""
        if op.dataflow is Dataflow.WS:
            spacing = max(op.groups, self.config.rows) * op.period(self.config)
            return begins[-1] + spacing if begins else 0
        if len(begins) == 1 and op.resume:
            return taken + START - 1 + 2 * drain
        return begins[-1] + drain if len(begins) >= 2 else 0

    def release(self, chunk: dict, cycle: int) -> None:
        sems = [s for s, on in zip((Sem.A_FREE, Sem.B_FREE), chunk["ends"], strict=False) if on]
        self.give(cycle, sems)

    def sums_leave(self, chunk: dict, cycle: int) -> None:
        if chunk["ends"][2]:
            self.give(cycle, [Sem.C_FULL])

    # STORE.

    def reader(self) -> Steps:
        """Reads C, a row per cycle, into bursts of which there are ROOM."""
        while True:
            index = yield from self.instruction("STORE")
            each = self.program[index]
            places = list(product(range(each.outer), range(each.inner)))
            for place in places:
                yield from self.take([Sem.C_FULL])
                yield from self.pause(SETUP)
                parts = self.store_bursts(each, *place)
                for number, (lines, rows) in enumerate(parts):
                    while self.no_room():
                        yield
                    last = number == len(parts) - 1
                    burst = {"index": index, "lines": lines, "ready": self.now + rows}
                    burst |= {"last": last and place == places[-1]}
                    self.staged.append(burst)
                    self.to_write.append(burst)
                    if last:
                        self.give(self.now + rows, [Sem.C_FREE])
                    yield from self.pause(rows)

    def no_room(self) -> bool:
        while self.staged and self.staged[0].get("drained", self.now + 1) <= self.now:
            self.staged.popleft()
        return len(self.staged) == ROOM

    def store_bursts(self, each: Store, o: int, i: int) -> list[tuple[list[int], int]]:
        """The bursts of a chunk, each with its rows of C."""
        row_bytes, line_bytes = self.config.cols * (4 if each.wide else 2), self.config.line_bytes
        found = []
        counts = (each.d3_count, each.d2_count, each.d1_count)
        for d3, d2, d1 in product(*map(range, counts)):
            address = each.address + o * each.outer_stride + i * each.inner_stride
            address += d3 * each.d3_stride + d2 * each.d2_stride + d1 * each.d1_stride
            rows_at = [address + j * row_bytes for j in range(each.rows)]
            for part in bursts(lines_of(address, each.rows * row_bytes, line_bytes)):
                rows = [at for at in rows_at if part[0] <= at // line_bytes <= part[-1]]
                found.append((part, len(rows)))
        return found

    def writer(self) -> Steps:
        """Asks for the staged bursts in order."""
        while True:
            while not self.to_write or self.to_write[0]["ready"] > self.now:
                yield
            burst = self.to_write.popleft()
            ask = yield from self.ask("STORE", burst["lines"], True, burst["index"])
            burst["drained"] = ask.end
            if burst["last"]:
                self.end(ask.end + LATENCY, burst["index"])

    # UPDATE and VECTOR.

    def update(self) -> Steps:
        c = self.config
        block, square = c.block, c.block // c.cols
        while True:
            index = yield from self.instruction("UPDATE")
            x = self.program[index]
            yield from self.pause(SETUP)
            total = x.in_blocks * x.taps * x.out_blocks * square
            size, end, passed, pruned = block * c.cols * 4, 0, [0], [0]
            passes: list[int] = []
            squares: list[int] = []
            for step in range(total + 2):
                if step < total:
                    for base in (x.gradient, x.master, x.momentum):
                        for part in bursts(lines_of(base + step * size, size, c.line_bytes)):
                            end = (yield from self.ask("UPDATE", part, False, index)).end
                    passed.append(max(passed[-1], end + LATENCY) - (-block * c.cols // c.wuve_lanes))
                    passes.append(passed[-1])
                    if step % square == square - 1:
                        pruned.append(
                            max(pruned[-1], passed[-1]) - (-2 * block * block // c.sore_lanes)
                        )
                        squares.append(pruned[-1])
                done = step - 2
                if done < 0:
                    continue
                yield from self.until(passes[done])
                for base in (x.master, x.momentum):
                    for part in bursts(lines_of(base + done * size, size, c.line_bytes)):
                        end = (yield from self.ask("UPDATE", part, True, index)).end
                if x.copies and done % square == square - 1:
                    yield from self.until(squares[done // square])
                    for address, count in self.copies(x, done // square):
                        for part in bursts(lines_of(address, count, c.line_bytes)):
                            end = (yield from self.ask("UPDATE", part, True, index)).end
            self.end(end + LATENCY, index)
            yield from self.until(end + LATENCY)

    def copies(self, x: Update, number: int) -> Iterator[tuple[int, int]]:
        """Runs of bytes in which the copies of a square lie, by the first and last kept row."""
        c, m = self.config, 4 << x.log_m
        places = product(range(x.in_blocks), range(x.taps), range(x.out_blocks))
        in_block, tap, out_block = list(places)[number]
        sides = (
            (x.forward, x.forward_index, x.in_blocks, in_block, out_block),
            (x.backward, x.backward_index, x.out_blocks, out_block, in_block),
        )
        for values, indices, count, along, across in sides:
            for base, row_bytes in ((values, 2 * c.cols), (indices, c.cols // 2)):
                if base == indices and x.n == m:
                    continue
                for column in range(across * c.block // c.cols, (across + 1) * c.block // c.cols):
                    k = count * c.block * x.taps
                    k_first = tap * count * c.block + along * c.block
                    first = (column * k // m + k_first // m) * x.n
                    yield base + first * row_bytes, c.block // m * x.n * row_bytes

    def vector(self) -> Steps:
        while True:
            index = yield from self.instruction("VECTOR")
            x = self.program[index]
            reads = deque(bursts(list(range(x.read))))
            writes = deque(bursts(list(range(x.read, x.read + x.write))))
            if not reads and not writes:
                self.end(self.now + SETUP, index)
                yield from self.pause(SETUP)
                continue
            yield from self.pause(SETUP)
            while reads or writes:
                if reads:
                    end = (yield from self.ask("VECTOR", reads.popleft(), False, index)).end
                if writes:
                    end = (yield from self.ask("VECTOR", writes.popleft(), True, index)).end
            self.end(end + LATENCY, index)
            yield from self.until(end + LATENCY)
