"""The program of a training step: instructions for five engines, ordered by semaphores."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Engine(IntEnum):
    """Who runs an instruction. Each takes its own in order; semaphores order them between engines.

    LOAD and STORE move lines between memory and scratchpads (LOAD through the N:M pruner where
    weights are pruned on their way), EXEC runs the array, UPDATE streams weights through the update
    engine, VECTOR streams activations through the vector engine.
    """

    LOAD = 0
    EXEC = 1
    STORE = 2
    UPDATE = 3
    VECTOR = 4


class Sem(IntEnum):
    """Semaphores: how many times something has happened that nobody has waited for yet."""

    FULL = 0
    """Operands of a piece are in their halves of the A and B scratchpads."""
    FREE = 1
    """The array is done with such a pair of halves."""
    C_FULL = 2
    C_FREE = 3
    LOAD_GO = 4
    """Results that the next operation waits for are in memory: a LOAD may go on.

    One such semaphore for each engine that waits, lest another takes what was not meant for it.
    """
    UPDATE_GO = 5
    VECTOR_GO = 6


GO = {
    Engine.LOAD: Sem.LOAD_GO,
    Engine.UPDATE: Sem.UPDATE_GO,
    Engine.VECTOR: Sem.VECTOR_GO,
}
"""What the first instruction of an operation waits for, by its engine."""
START = {Sem.FREE: 2, Sem.C_FREE: 2}
"""Semaphores that start above 0: both halves of each scratchpad are free."""

COLUMNS = ("engine", "lines", "cycles", "wait", "signal", "op")


def instruction(
    engine: Engine,
    *,
    lines: int = 0,
    cycles: int = 0,
    wait: tuple[Sem, ...] = (),
    signal: tuple[Sem, ...] = (),
) -> list[int]:
    """A row of a program: all `COLUMNS` but the last, which op it belongs to."""
    return [int(engine), lines, cycles, mask(*wait), mask(*signal)]


def mask(*sems: Sem) -> int:
    return sum(1 << sem for sem in sems)


@dataclass
class Program:
    """Instructions in program order, an array [instructions, COLUMNS] for each operation.

    `lines` are memory lines moved, `cycles` the time an instruction takes at least, `wait` and
    `signal` masks of `Sem`, `op` the index of the operation it belongs to.
    """

    parts: list[np.ndarray] = field(default_factory=list)

    def add(self, rows: np.ndarray) -> None:
        """Append the instructions of the next operation, [instructions, COLUMNS but the last]."""
        op = np.full((len(rows), 1), len(self.parts), np.int64)
        self.parts.append(np.hstack([rows, op]))

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def arrays(self) -> dict[str, np.ndarray]:
        """Each column as an array of int64."""
        rows = np.concatenate(self.parts) if self.parts else np.empty((0, len(COLUMNS)), np.int64)
        return {name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(COLUMNS)}
