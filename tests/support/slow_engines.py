"""The machine's engines and memory, one cycle after another: slow, plain, written from the text of
`sparsat.sim.engine` alone."""

from collections import deque
from dataclasses import dataclass

ENGINES, BURST = 5, 16


@dataclass
class Instruction:
    engine: int
    lines: int
    cycles: int
    wait: tuple[int, ...]
    signal: tuple[int, ...]
    start: int = -1
    end: int = -1
    left: int = 0
    ends_at: int = -1


def run_slowly(
    program: list[Instruction], sems: list[int], latency: int, most_cycles: int = 100_000
) -> list[tuple[int, int]]:
    """(start, end) of every instruction, (…, -1) from where the program cannot go on."""
    queues = [deque(each for each in program if each.engine == e) for e in range(ENGINES)]
    busy: list[Instruction | None] = [None] * ENGINES
    turns: deque[Instruction] = deque()
    burst_left = 0
    for now in range(most_cycles):
        settled = False
        while not settled:
            settled = True
            for e in range(ENGINES):
                done = busy[e]
                if done is not None and done.ends_at == now:
                    done.end, busy[e], settled = now, None, False
                    for sem in done.signal:
                        sems[sem] += 1
                if busy[e] is None and queues[e] and all(sems[s] for s in queues[e][0].wait):
                    each = queues[e].popleft()
                    busy[e], each.start, each.left, settled = each, now, each.lines, False
                    for sem in each.wait:
                        sems[sem] -= 1
                    if each.lines:
                        turns.append(each)
                    else:
                        each.ends_at = now + each.cycles
        if turns:
            if not burst_left:
                burst_left = min(BURST, turns[0].left)
            turns[0].left -= 1
            burst_left -= 1
            if not burst_left:
                each = turns.popleft()
                if each.left:
                    turns.append(each)
                else:
                    each.ends_at = max(now + 1 + latency, each.start + each.cycles)
        elif all(each is None for each in busy):
            break
    return [(each.start, each.end) for each in program]
