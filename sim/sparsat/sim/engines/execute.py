"""EXEC: chunks of operations of the array, timed by the closed forms of `sparsat.hw.timing`."""

from numba import njit

from sparsat.hw.isa.instructions import Advance, Sem
from sparsat.hw.timing import (
    DECODE,
    FEED,
    FEED_AHEAD,
    OPEN,
    Pace,
    end,
    first_chunk,
    issue,
    next_chunk,
)
from sparsat.sim.engines.state import CHUNK, EMPTY, EXEC, WAITING, finish, give, go_on

A_FULL, A_FREE = 1 << int(Sem.A_FULL), 1 << int(Sem.A_FREE)
B_FULL, B_FREE = 1 << int(Sem.B_FULL), 1 << int(Sem.B_FREE)
C_FULL, C_FREE = 1 << int(Sem.C_FULL), 1 << int(Sem.C_FREE)
ONCE, EVERY = int(Advance.ONCE), int(Advance.EVERY)


@njit
def exec_popped(m):
    """The instruction came out of the queue."""
    place, now = m.exec_, m.clock.now
    spent = place.spent
    spent.busy = spent.a = spent.b = spent.c = 0
    spent.instruction = max(0, now - place.idle)
    spent.fill = -spent.instruction
    go_on(m.engines[EXEC], WAITING, now + DECODE)


@njit
def exec_start(m):
    """The instruction is decoded."""
    eng, place, now = m.engines[EXEC], m.exec_, m.clock.now
    place.o = place.i = 0
    go_on(eng, CHUNK, now)


@njit
def exec_due(m):
    """Semaphores to take before the chunk."""
    place, x = m.exec_, m.exec_.x
    o, i = place.o, place.i
    mask = A_FULL if _begins(x.a_advance, o, i, x.a_held) else 0
    mask |= B_FULL if _begins(x.b_advance, o, i, x.b_held) else 0
    return mask | (C_FREE if _begins(x.c_advance, o, i, x.c_held) else 0)


@njit
def exec_chunk(m):
    """The chunk's tokens are taken: all its cycles follow."""
    eng, place, now = m.engines[EXEC], m.exec_, m.clock.now
    x = place.x
    ready = now + x.feed + FEED
    last = place.o == x.outer - 1 and place.i == x.inner - 1
    passes = x.passes if x.ws else 1
    began = place.idle
    first = place.o == 0 and place.i == 0
    new_c = first or _begins(x.c_advance, place.o, place.i, x.c_held)
    resumed = x.resume or (x.chain and not new_c)
    pace = _pace(m, resumed)
    if place.goes_on:
        chunk = next_chunk(pace, place.free, ready)
        _charge(place.spent, eng.cause, chunk[0] - place.free)
        if place.pending_c:
            give(m, chunk[0] + x.tail, C_FULL)
    else:
        _charge(place.spent, eng.cause, now - max(eng.at, place.idle))
        chunk = first_chunk(pace, max(now + OPEN, place.idle), ready)
    place.pending_c = _ends(x.c_advance, place.i, x.inner, last, x.c_keep)
    may_go_on = x.resumed_goes_on and not place.pending_c if resumed else x.fresh_goes_on
    place.goes_on = may_go_on and not last
    if not place.goes_on:
        place.idle = end(pace, chunk, x.tiles) + x.tail
    for _ in range(passes - 1):
        pace = _pace(m, True)
        chunk = first_chunk(pace, place.idle, 0)
        place.idle = end(pace, chunk, x.tiles) + x.tail
    place.spent.busy += passes * x.slots * pace.period
    place.spent.fill += place.idle - began - passes * x.slots * pace.period
    place.free = issue(pace, chunk, x.slots)
    last_slot = issue(pace, chunk, x.slots - 1)
    _release(m, place.idle if x.ws else last_slot + x.release, last)
    if place.pending_c and not place.goes_on:
        give(m, place.idle, C_FULL)
    if last:
        finish(m, EXEC, place.idle, eng.signal, eng.instruction)
        go_on(eng, EMPTY, last_slot + 1)
        return
    go_on(eng, CHUNK, issue(pace, chunk, max(x.slots - 1 - FEED_AHEAD, 0)) + 1)
    place.i += 1
    if place.i == x.inner:
        place.i = 0
        place.o += 1


@njit
def exec_record(m, done):
    """Record where the array's cycles went, after the instruction's last chunk."""
    record, spent = done[m.engines[EXEC].instruction], m.exec_.spent
    record.busy, record.fill = spent.busy, spent.fill
    record.a, record.b, record.c = spent.a, spent.b, spent.c
    record.instruction = spent.instruction


@njit
def _pace(m, resumed):
    p = m.exec_.x.resumed if resumed else m.exec_.x.fresh
    return Pace(p[0], p[1], p[2], p[3], p[4], p[5], p[6])


@njit
def _charge(spent, cause, cycles):
    """So many cycles the array waited for a semaphore (-1: for none)."""
    if cause < 0 or cycles <= 0:
        return
    spent.fill -= cycles
    if 1 << cause == A_FULL:
        spent.a += cycles
    elif 1 << cause == B_FULL:
        spent.b += cycles
    else:
        spent.c += cycles


@njit
def _begins(advance, o, i, held):
    """Whether a chunk begins with another half."""
    if o == 0 and i == 0:
        return not held
    return advance == EVERY or (advance != ONCE and i == 0)


@njit
def _ends(advance, i, inner, last, keep):
    """Whether a half is done with after a chunk."""
    if last:
        return not keep
    return advance == EVERY or (advance != ONCE and i == inner - 1)


@njit
def _release(m, at, last):
    """Give back halves of A and B."""
    x, i = m.exec_.x, m.exec_.i
    mask = A_FREE if _ends(x.a_advance, i, x.inner, last, x.a_keep) else 0
    mask |= B_FREE if _ends(x.b_advance, i, x.inner, last, x.b_keep) else 0
    if mask:
        give(m, at, mask)
