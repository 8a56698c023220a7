"""A program's tokens without time: whether it can end, whether a semaphore can overflow.

Every semaphore has one giver and one taker, so how far the engines come does not depend on the
order in which they move: one run shows whether they come to the end. How high a semaphore climbs
does; it is highest when its taker moves only after all others have come as far as they can.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from sparsat.hw.isa.instructions import (
    SEM_MAX,
    SEM_START,
    Advance,
    Exec,
    Instruction,
    LoadA,
    LoadB,
    Opcode,
    Sem,
    Store,
)

QUEUE = 8
"""Instructions that wait for an engine at most."""

MASK_BITS = 32
HALVES = tuple(Sem)[:6]
"""Semaphores of the halves: engines move them by themselves."""
GIVER = {sem: Opcode[sem.name.split("_TO_")[0]] for sem in Sem if sem not in HALVES}
TAKER = {sem: Opcode[sem.name.split("_TO_")[1]] for sem in Sem if sem not in HALVES}
BETWEEN = {(GIVER[sem], TAKER[sem]): sem for sem in GIVER}
"""The semaphore from one engine to another, where there is one."""
GIVEN_BY = {opcode: [sem for sem in GIVER if GIVER[sem] == opcode] for opcode in Opcode}
"""What an instruction's `signal` may name."""
TAKEN_BY = {opcode: [sem for sem in TAKER if TAKER[sem] == opcode] for opcode in Opcode}
"""What an instruction's `wait` may name."""

ROW = np.dtype(
    [
        (name, np.int64)
        for name in (
            "opcode", "wait", "signal", "outer", "inner",
            "take_once", "take_outer", "take_every", "held",
            "give_once", "give_outer", "give_every", "kept",
        )
    ]
)  # fmt: skip
"""An instruction as `_run` sees it, all masks. HALT has no engine: the dispatcher passes it by."""


def check_semaphores(program: Sequence[Instruction], queue: int = QUEUE) -> None:
    """Raise ValueError if `program`, which `validate` accepts, cannot run to a clean end.

    That is: it stops in the middle (the message names the instructions that wait, and for what), a
    semaphore can climb over `SEM_MAX`, or semaphores end other than they started. `queue`
    instructions can wait for an engine.
    """
    rows = table(program)
    at, chunk, tokens, _ = run(rows, _start(), 0, queue)
    _check_end(program, rows, at, chunk, tokens)
    for sem, taker in TAKER.items():
        if np.count_nonzero(rows["signal"] >> sem & 1) > SEM_MAX:
            high = highest(rows, sem, queue)
            if high > SEM_MAX:
                raise ValueError(
                    f"{sem.name} can reach {high} when {taker.name} is late, "
                    f"it must stay within {SEM_MAX}"
                )
    left = [f"{sem.name} is {tokens[sem]}" for sem in Sem if tokens[sem] != SEM_START.get(sem, 0)]
    if left:
        raise ValueError(f"at the end {', '.join(left)}, all must be as at the start")


def table(program: Sequence[Instruction]) -> np.ndarray:
    """[instructions] of `ROW`."""
    return np.array([_row(instruction) for instruction in program], ROW)


def highest(rows: np.ndarray, sem: Sem, queue: int) -> int:
    """How high `sem`, one of `TAKER`, can climb."""
    return int(run(rows, _start(), TAKER[sem], queue)[-1][sem])


def _start() -> np.ndarray:
    """Tokens at the start: int64 [MASK_BITS]."""
    tokens = np.zeros(MASK_BITS, np.int64)
    for sem, count in SEM_START.items():
        tokens[sem] = count
    return tokens


def _row(instruction: Instruction) -> tuple[int, ...]:
    """The fields of `ROW`."""
    common = int(instruction.OPCODE), instruction.wait, instruction.signal
    if isinstance(instruction, Exec):
        return (*common, instruction.outer, instruction.inner, *_exec_masks(instruction))
    if not isinstance(instruction, LoadA | Store):
        return (*common, 1, 1, *[0] * 8)
    if isinstance(instruction, Store):
        take, give = Sem.C_FULL, Sem.C_FREE
    elif isinstance(instruction, LoadB):
        take, give = Sem.B_FREE, Sem.B_FULL
    else:
        take, give = Sem.A_FREE, Sem.A_FULL
    masks = 0, 0, 1 << take, 0, 0, 0, 1 << give, 0
    return (*common, instruction.outer, instruction.inner, *masks)


def _exec_masks(instruction: Exec) -> list[int]:
    """From `take_once` to `kept`."""
    a, b, c = (Sem.A_FULL, Sem.A_FREE), (Sem.B_FULL, Sem.B_FREE), (Sem.C_FREE, Sem.C_FULL)
    takes, gives, held, kept = [0] * len(Advance), [0] * len(Advance), 0, 0
    for name, (take, give) in {"a": a, "b": b, "c": c}.items():
        advance = getattr(instruction, f"{name}_advance")
        takes[advance] |= 1 << take
        gives[advance] |= 1 << give
        held |= getattr(instruction, f"{name}_held") << take
        kept |= getattr(instruction, f"{name}_keep") << give
    return [*takes, held, *gives, kept]


def _check_end(program, rows, at, chunk, tokens) -> None:
    """Raise ValueError if an engine has stopped before the end of the program."""
    waits = []
    for index, turn in sorted(zip(at, chunk, strict=True)):
        if index == len(program):
            continue
        mask = rows[index]["wait"] if turn < 0 else take(rows[index], turn)
        lacks = [sem.name for sem in Sem if mask >> sem & 1 and not tokens[sem]]
        name = program[index].OPCODE.name + (f" (chunk {turn})" if turn >= 0 else "")
        reason = f"for {', '.join(lacks)}" if lacks else "for room in a queue"
        waits.append(f"instruction {index}, {name}, waits {reason}")
    if waits:
        raise ValueError(f"deadlock: {'; '.join(waits)}")


@njit(cache=True)
def run(rows, tokens, late, queue):
    """Move the engines until none can go on; engine `late` (0: none) only when no other can.

    `rows` [instructions] of `ROW`; `tokens` [MASK_BITS] change in place. Returns for each opcode's
    engine the instruction it is at (`len(rows)`: at the end) and its chunk (-1: not begun), then
    `tokens`, and the most that each has been.
    """
    following, at = _queues(rows)
    chunk, waiting = np.full(len(at), -1), np.zeros(len(at), np.int64)
    high = tokens.copy()
    passed = 0
    while True:
        moved = False
        while passed < len(rows) and waiting[rows[passed].opcode] < queue:
            if rows[passed].opcode > 0:
                waiting[rows[passed].opcode] += 1
            passed += 1
        for engine in range(1, len(at)):
            while engine != late and at[engine] < passed:
                if not _step(rows, engine, at, chunk, waiting, following, tokens, high):
                    break
                moved = True
        if moved:
            continue
        if late == 0 or at[late] >= passed:
            break
        if not _step(rows, late, at, chunk, waiting, following, tokens, high):
            break
    return at, chunk, tokens, high


@njit(cache=True)
def _queues(rows):
    """For each instruction the next one of its engine, for each engine the first one."""
    following = np.full(len(rows), len(rows))
    first = np.full(7, len(rows))
    for index in range(len(rows) - 1, -1, -1):
        opcode = rows[index].opcode
        following[index] = first[opcode]
        first[opcode] = index
    first[0] = len(rows)
    return following, first


@njit(cache=True)
def _step(rows, engine, at, chunk, waiting, following, tokens, high):
    """Begin the engine's next instruction, or run a chunk of it; False if tokens are lacking."""
    row, turn = rows[at[engine]], chunk[engine]
    if turn < 0:
        if not _take(tokens, row.wait):
            return False
        waiting[engine] -= 1
        chunk[engine] = 0
        return True
    if not _take(tokens, take(row, turn)):
        return False
    _give(tokens, high, _gives(row, turn))
    chunk[engine] += 1
    if chunk[engine] == row.outer * row.inner:
        _give(tokens, high, row.signal)
        chunk[engine] = -1
        at[engine] = following[at[engine]]
    return True


@njit(cache=True)
def take(row, turn):
    """The mask a chunk takes."""
    mask = row.take_every
    if turn % row.inner == 0:
        mask |= row.take_outer
    if turn == 0:
        mask = (mask | row.take_once) & ~row.held
    return mask


@njit(cache=True)
def _gives(row, turn):
    mask = row.give_every
    if (turn + 1) % row.inner == 0:
        mask |= row.give_outer
    if turn + 1 == row.outer * row.inner:
        mask = (mask | row.give_once) & ~row.kept
    return mask


@njit(cache=True)
def _take(tokens, mask):
    for sem in range(len(tokens)):
        if mask >> sem & 1 and tokens[sem] == 0:
            return False
    for sem in range(len(tokens)):
        tokens[sem] -= mask >> sem & 1
    return True


@njit(cache=True)
def _give(tokens, high, mask):
    for sem in range(len(tokens)):
        tokens[sem] += mask >> sem & 1
        high[sem] = max(high[sem], tokens[sem])
