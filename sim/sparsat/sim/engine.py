"""The machine's engines against one memory, event by event.

Memory serves one line per cycle. Engines that move lines take turns, a burst each; an engine joins
behind those already waiting. An instruction that moves lines ends `latency` cycles after its last
line, and not before its own `cycles` are over. EXEC moves none.
"""

import numpy as np
from numba import njit

ENGINES = 5
BURST = 16
"""Lines an engine moves before it is the next one's turn."""


@njit(cache=True)
def run(engine, lines, cycles, wait, signal, sems, latency):
    """Start and end cycle of every instruction; all -1 from where the program cannot go on.

    Arguments are the program's columns (int64), the semaphores' initial counts (changed in place)
    and the memory's latency in cycles.
    """
    count = len(engine)
    start, end = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    queue, first, size = _queues(engine, count)
    head = np.zeros(ENGINES, np.int64)
    busy = np.full(ENGINES, -1, np.int64)  # instruction in progress
    left = np.zeros(ENGINES, np.int64)  # lines still to move
    ends = np.full(ENGINES, -1, np.int64)  # when it ends, once known
    order = np.zeros(ENGINES, np.int64)  # whose turn it is: engines waiting for memory
    waiting = 0
    burst: int = 0  # lines left of the present turn
    now = np.int64(0)
    while True:
        # Finish and start whatever can be at this cycle.
        moved = True
        while moved:
            moved = False
            for e in range(ENGINES):
                i = busy[e]
                if i >= 0 and ends[e] == now:
                    end[i] = now
                    busy[e] = -1
                    ends[e] = -1
                    for s in range(len(sems)):
                        sems[s] += signal[i] >> s & 1
                    moved = True
                if busy[e] < 0 and head[e] < size[e]:
                    i = queue[first[e] + head[e]]
                    ready = True
                    for s in range(len(sems)):
                        if wait[i] >> s & 1 and sems[s] == 0:
                            ready = False
                    if ready:
                        for s in range(len(sems)):
                            sems[s] -= wait[i] >> s & 1
                        head[e] += 1
                        busy[e] = i
                        start[i] = now
                        left[e] = lines[i]
                        if lines[i] == 0:
                            ends[e] = now + cycles[i]
                        else:
                            order[waiting] = e
                            if waiting == 0:
                                burst = min(BURST, int(left[e]))
                            waiting += 1
                        moved = True
        # Time of the next known end.
        until = np.int64(-1)
        for e in range(ENGINES):
            if ends[e] >= 0 and (until < 0 or ends[e] < until):
                until = ends[e]
        if waiting == 0:
            if until < 0:
                return start, end
            now = until
            continue
        # Move lines until an instruction's last line or the next known end.
        while waiting and (until < 0 or now < until):
            e = order[0]
            if burst == BURST and waiting > 0:
                # Whole rounds at once, while every turn is a whole burst.
                rounds = int(left[e]) // BURST
                for w in range(waiting):
                    rounds = min(rounds, int(left[order[w]]) // BURST)
                rounds -= 1
                if until >= 0:
                    rounds = min(rounds, int(until - now) // (BURST * waiting))
                if rounds > 0:
                    for w in range(waiting):
                        left[order[w]] -= rounds * BURST
                    now += rounds * BURST * waiting
                    continue
            step = burst if until < 0 else min(burst, int(until - now))
            now += step
            burst -= step
            left[e] -= step
            if burst == 0:
                for w in range(waiting - 1):
                    order[w] = order[w + 1]
                if left[e] > 0:
                    order[waiting - 1] = e
                else:
                    waiting -= 1
                    i = busy[e]
                    ends[e] = max(now + latency, start[i] + cycles[i])
                    if until < 0 or ends[e] < until:
                        until = ends[e]
                if waiting:
                    burst = min(BURST, int(left[order[0]]))


@njit(cache=True)
def _queues(engine, count):
    """Instructions of each engine in order: all in one array, with where each engine's begin."""
    size = np.zeros(ENGINES, np.int64)
    for i in range(count):
        size[engine[i]] += 1
    first = np.zeros(ENGINES, np.int64)
    for e in range(1, ENGINES):
        first[e] = first[e - 1] + size[e - 1]
    queue = np.empty(count, np.int64)
    at = first.copy()
    for i in range(count):
        queue[at[engine[i]]] = i
        at[engine[i]] += 1
    return queue, first, size
