"""The program of a training step: instructions for five engines, ordered by semaphores."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Engine(IntEnum):
    """Who runs an instruction. Each takes its own in order; semaphores order them between engines.

    LOAD and STORE move lines between memory and scratchpads, EXEC runs the array, UPDATE streams
    weights through the update engine, VECTOR streams activations through the vector engine, SORE
    prunes weights on their way into the scratchpad.
    """

    LOAD = 0
    EXEC = 1
    STORE = 2
    UPDATE = 3
    VECTOR = 4


class Sem(IntEnum):
    """Semaphores: how many times something has happened that nobody has waited for yet."""

    A_FULL = 0
    A_FREE = 1
    B_FULL = 2
    B_FREE = 3
    C_FULL = 4
    C_FREE = 5
    LOADED = 6
    DONE = 7


START = {Sem.A_FREE: 2, Sem.B_FREE: 2, Sem.C_FREE: 2}
"""Semaphores that start above 0: both halves of each scratchpad are free."""

COLUMNS = ("engine", "lines", "cycles", "wait", "signal", "op")


@dataclass
class Program:
    """Instructions as columns, in program order.

    `lines` are memory lines moved, `cycles` the time an instruction takes at least, `wait` and
    `signal` masks of `Sem`, `op` the index of the operation it belongs to.
    """

    columns: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def add(
        self,
        engine: Engine,
        op: int,
        *,
        lines: int = 0,
        cycles: int = 0,
        wait: tuple[Sem, ...] = (),
        signal: tuple[Sem, ...] = (),
    ) -> None:
        row = (engine, lines, cycles, _mask(wait), _mask(signal), op)
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(int(value))

    def __len__(self) -> int:
        return len(self.columns["op"])

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.array(column, np.int64) for name, column in self.columns.items()}


def _mask(sems: tuple[Sem, ...]) -> int:
    return sum(1 << sem for sem in sems)
