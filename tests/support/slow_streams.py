"""The slow machine's engines that move lines: LOAD, STORE, UPDATE, VECTOR."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from slow_core import LATENCY, SETUP, Machine, Steps, bursts, lines_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import LoadA, LoadB, Mode, Sem, Store, Update, Vector

ROOM, BUFFER, AHEAD = 4, 2, 7


def load(m: Machine, engine: str) -> Steps:
    full, free = (Sem.A_FULL, Sem.A_FREE) if engine == "LOAD_A" else (Sem.B_FULL, Sem.B_FREE)
    passed = [0] * ROOM  # when bursts have passed SORE or the transposer
    while True:
        index = yield from m.instruction(engine)
        each = m.program[index]
        assert isinstance(each, LoadA)
        for o, i in product(range(each.outer), range(each.inner)):
            yield from m.take([free])
            yield from m.pause(SETUP)
            for part, cost in load_bursts(m, each, o, i):
                if cost:
                    yield from m.until(passed[-ROOM])
                ask = yield from m.ask(engine, part, False, index)
                there = ask.end + LATENCY
                if cost:
                    passed.append(max(passed[-1], ask.first + LATENCY + BUFFER) + cost)
                    there = passed[-1] + tail(m, each)
            m.give(there, [full])
        m.end(there, index)
        if cost:
            yield from m.until(there)


def tail(m: Machine, each: LoadA) -> int:
    """Cycles until what comes of the last line is in B."""
    assert isinstance(each, LoadB)
    if each.mode == Mode.PRUNE:
        return each.n * (m.config.cols // m.config.sore_lanes) + 5
    return each.channels + 4


def load_bursts(m: Machine, each: LoadA, o: int, i: int) -> Iterator[tuple[list[int], int]]:
    """The bursts of a chunk, each with the cycles that SORE or the transposer takes for it."""
    line_bytes, cols = m.config.line_bytes, m.config.cols
    values = line_bytes // 2
    mode = each.mode if isinstance(each, LoadB) else Mode.COPY
    for s in range(each.segments):
        at = each.address + o * each.outer_stride + i * each.inner_stride + s * each.segment_stride
        first = at // line_bytes
        parts = bursts(list(range(first, first + each.lines)))
        for part in parts:
            cost = 0
            if mode == Mode.PRUNE:
                cost = len(part) * (values // m.config.sore_lanes)
            if mode == Mode.TRANSPOSE and isinstance(each, LoadB):
                cost = len(part) * (values // cols)
                if part is parts[-1]:  # as if the last tokens were all there, and nothing else
                    all_tokens = -(-each.tokens // cols) * cols
                    cost += all_tokens * (each.channels // cols) - each.lines * (values // cols)
            yield part, cost
    if isinstance(each, LoadB) and each.index_lines:
        for s in range(each.segments):
            at = each.index_address + o * each.index_outer_stride + i * each.index_inner_stride
            first = (at + s * each.index_segment_stride) // line_bytes
            for part in bursts(list(range(first, first + each.index_lines))):
                yield part, 0


@dataclass
class Staged:
    """A burst of rows of C, `ready` when they are read, gone from the buffer at `drained`."""

    index: int
    lines: list[int]
    ready: int
    last: bool
    drained: int | None = None


class Storing:
    """STORE's reader and writer, with the bursts between them."""

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.staged: deque[Staged] = deque()
        self.to_write: deque[Staged] = deque()

    def reader(self) -> Steps:
        """Reads C, a row per cycle, into bursts of which there are ROOM."""
        m = self.m
        while True:
            index = yield from m.instruction("STORE")
            each = m.program[index]
            assert isinstance(each, Store)
            places = list(product(range(each.outer), range(each.inner)))
            for place in places:
                yield from m.take([Sem.C_FULL])
                yield from m.pause(SETUP)
                parts = store_bursts(m, each, *place)
                for number, (lines, rows) in enumerate(parts):
                    while self.full():
                        yield
                    last = number == len(parts) - 1
                    burst = Staged(index, lines, m.now + rows, last and place == places[-1])
                    self.staged.append(burst)
                    self.to_write.append(burst)
                    if last:
                        m.give(m.now + rows, [Sem.C_FREE])
                    yield from m.pause(rows)

    def full(self) -> bool:
        while self.staged and (drained := self.staged[0].drained) and drained <= self.m.now:
            self.staged.popleft()
        return len(self.staged) == ROOM

    def writer(self) -> Steps:
        """Asks for the staged bursts in order."""
        m = self.m
        while True:
            while not self.to_write or self.to_write[0].ready > m.now:
                yield
            burst = self.to_write.popleft()
            ask = yield from m.ask("STORE", burst.lines, True, burst.index)
            burst.drained = ask.end
            if burst.last:
                m.end(ask.end + LATENCY, burst.index)


def store_bursts(m: Machine, each: Store, o: int, i: int) -> list[tuple[list[int], int]]:
    """The bursts of a chunk, each with its rows of C."""
    row_bytes, line_bytes = m.config.cols * (4 if each.wide else 2), m.config.line_bytes
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


def update(m: Machine) -> Steps:
    c = m.config
    size = 4 * c.block * c.block
    while True:
        index = yield from m.instruction("UPDATE")
        x = m.program[index]
        assert isinstance(x, Update)
        yield from m.pause(SETUP)
        total = x.in_blocks * x.taps * x.out_blocks
        passed = [0]
        for step in range(total + AHEAD):
            if step < total:
                for base in (x.gradient, x.master, x.momentum):
                    end = yield from run(m, index, base + step * size, size, False)
                passed.append(max(passed[-1], end + LATENCY) + c.block * c.block // c.wuve_lanes)
            done = step - AHEAD
            if done >= 0:
                computed, copied = stages(c, x)
                yield from m.until(passed[1 + done] + computed)
                for base in (x.new_master, x.new_momentum):
                    end = yield from run(m, index, base + done * size, size, True)
            if done >= 0 and x.copies:
                yield from m.until(passed[1 + done] + copied)
                for address, count in copies(m, x, done):
                    end = yield from run(m, index, address, count, True)
        m.end(end + LATENCY, index)
        yield from m.until(end + LATENCY)


def stages(c: SATConfig, x: Update) -> tuple[int, int]:
    """From when a square has passed until its new weights, its copies can be written."""
    row = c.cols // c.wuve_lanes
    square, turn = c.block * c.block // c.wuve_lanes, c.cols * row
    computed = 36
    if x.copies and x.n < x.m:
        computed += square + 10 + x.m * row + (2 * (turn + 3) if x.transposed else 0)
    return computed, computed + square + 11 + turn + x.n * row


def run(m: Machine, index: int, address: int, count: int, write: bool) -> Steps:
    """Moves the lines of so many bytes; the end of the last one's service."""
    for part in bursts(lines_of(address, count, m.config.line_bytes)):
        ask = yield from m.ask("UPDATE", part, write, index)
    return ask.end


def copies(m: Machine, x: Update, number: int) -> Iterator[tuple[int, int]]:
    """Runs of bytes in which the copies of a square lie: the first one's address, their length."""
    c, group = m.config, x.m
    sizes = (x.out_blocks, x.in_blocks) if x.transposed else (x.in_blocks, x.out_blocks)
    places = product(range(sizes[0]), range(x.taps), range(sizes[1]))
    in_block, tap, out_block = list(places)[number]
    if x.transposed:
        in_block, out_block = out_block, in_block
    sides = (
        (x.forward, x.forward_index, x.in_blocks, in_block, out_block),
        (x.backward, x.backward_index, x.out_blocks, out_block, in_block),
    )
    if x.transposed:
        sides = sides[::-1]
    for values, indices, count, along, across in sides:
        planes = [(values, 2 * c.cols)] + ([(indices, c.cols // 2)] if x.n < group else [])
        for base, row_bytes in planes:
            for column in range(across * c.block // c.cols, (across + 1) * c.block // c.cols):
                k, first_k = count * c.block * x.taps, (tap * count + along) * c.block
                per_line = c.line_bytes // (2 * c.cols if x.n == group else c.cols // 2)
                step = -(-(k * x.n // group) // per_line) * per_line
                row = column * step + first_k * x.n // group
                yield base + row * row_bytes, c.block // group * x.n * row_bytes


def vector(m: Machine) -> Steps:
    while True:
        index = yield from m.instruction("VECTOR")
        x = m.program[index]
        assert isinstance(x, Vector)
        if m.host_cycles is not None:
            end = m.now + m.host_cycles
            m.end(end, index)
            yield from m.until(end)
            continue
        queues = [
            (deque(bursts(list(range(x.read)))), False),
            (deque(bursts(list(range(x.read, x.read + x.write)))), True),
        ]
        end = m.now + SETUP
        if not x.read and not x.write:
            m.end(end, index)
        yield from m.pause(SETUP)
        while any(waiting for waiting, _ in queues):
            for waiting, write in queues:
                if waiting:
                    ask = yield from m.ask("VECTOR", waiting.popleft(), write, index)
                    end = ask.end + LATENCY
        if x.read or x.write:
            m.end(end, index)
        yield from m.until(end)
