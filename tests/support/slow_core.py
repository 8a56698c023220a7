"""What the slow machine's engines share: queues, semaphores, the instructions' front, memory."""

from collections import defaultdict, deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from slow_ddr4 import SlowDdr4
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import (
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Sem,
    Store,
    Update,
    Vector,
)

LATENCY, BURST, SETUP, DISPATCH, QUEUE = 60, 64, 4, 4, 8
TURNS = ("FETCH", "LOAD_A", "LOAD_B", "STORE", "UPDATE", "VECTOR")
KINDS = {LoadA: "LOAD_A", LoadB: "LOAD_B", Exec: "EXEC", Store: "STORE"}
KINDS |= {Update: "UPDATE", Vector: "VECTOR"}
Steps = Generator[None, None, Any]
"""An engine, or a part of what it does: yields once per cycle."""


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


class Machine:
    """State of the machine in cycle `now`; `due`: semaphores and ends by cycle, `next`: the
    instruction to hand out, `finished`: how many have ended."""

    def __init__(
        self,
        config: SATConfig,
        program: list[Instruction],
        memory: str,
        host_cycles: int | None = None,
    ) -> None:
        self.config, self.program, self.host_cycles = config, program, host_cycles
        self.memory = SlowDdr4(config) if memory == "ddr4" else SlowFixed()
        self.seen = [Seen() for _ in program]
        self.sems = dict.fromkeys(Sem, 0) | {Sem.A_FREE: 2, Sem.B_FREE: 2, Sem.C_FREE: 2}
        self.now, self.free, self.turn = 0, 0, 5
        self.due: dict[int, list[tuple[list[Sem], int]]] = defaultdict(list)
        self.queues: dict[str, deque[int]] = {name: deque() for name in KINDS.values()}
        self.asks: dict[str, Ask] = {}
        self.fetched: dict[int, int] = {}  # line of the program → cycle of its service
        self.next, self.finished = 0, 0

    def deliver(self) -> None:
        """Give what is due now."""
        for sems, instruction in self.due.pop(self.now, []):
            for sem in sems:
                self.sems[sem] += 1
            if instruction >= 0:
                self.seen[instruction].end = self.now
                self.finished += 1

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
        """Hand out an instruction if one has arrived and its queue has room."""
        if self.next == len(self.program):
            return
        last_line = ((self.next + 1) * 256 - 1) // self.config.line_bytes
        if last_line not in self.fetched:
            return
        if self.now < self.fetched[last_line] + 1 + LATENCY + DISPATCH:
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
        self.next += 1

    def instruction(self, engine: str, decode: int = 0) -> Steps:
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

    def ask(self, engine: str, lines: list[int], write: bool, index: int = -1) -> Steps:
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
                ask.first = self.memory.serve(ask.asked, self.now, ask.lines[0], count, ask.write)
                ask.end = self.free = ask.first + count
                self.turn = turn
                return
