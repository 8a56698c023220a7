"""What the engines share: memory, scratchpads, semaphores."""

from collections.abc import Iterator

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.image import OnVector
from sparsat.hw.isa.instructions import SEM_MAX, SEM_START, LoadA, Sem, Store


class MachineError(ValueError):
    """The machine stops; the message begins with the error's name in docs/isa.md."""


class Semaphores:
    """The counters that order the engines; a mask has bit s for `Sem` s."""

    def __init__(self) -> None:
        self.counts = {sem: SEM_START.get(sem, 0) for sem in Sem}

    def take(self, mask: int) -> bool:
        """Take 1 from each semaphore in `mask` if none of them is 0; whether that was so."""
        if self.missing(mask):
            return False
        for sem in _members(mask):
            self.counts[sem] -= 1
        return True

    def give(self, mask: int) -> None:
        for sem in _members(mask):
            if self.counts[sem] == SEM_MAX:
                raise MachineError(f"SEMAPHORE: {sem.name} would pass {SEM_MAX}")
            self.counts[sem] += 1

    def missing(self, mask: int) -> list[Sem]:
        """The semaphores in `mask` that are 0."""
        return [sem for sem in _members(mask) if self.counts[sem] == 0]


def _members(mask: int) -> list[Sem]:
    return [sem for sem in Sem if mask >> sem & 1]


class Turn:
    """The half of a scratchpad that an engine uses; `kept` where an EXEC leaves it to the next."""

    def __init__(self) -> None:
        self.half = 1
        self.kept = False

    def advance(self) -> int:
        """Go on to the other half, first to half 0."""
        self.half ^= 1
        return self.half


class Machine:
    """Memory, scratchpads and what else outlives an instruction.

    Scratchpads start as NaN, so that a program that reads what it never loaded shows it.

    Members
    -------
    a : uint16 [2, values], operand bits; the private copies are one here.
    b, b_index : uint16 and uint8 [2, rows, cols], operand bits and indices in their groups.
    c : float32 [2, rows, cols].
    memory : uint8 [bytes], the caller's, and `on_vector` as in `run`.
    overflow : whether an UPDATE met a gradient that is not finite.
    """

    def __init__(
        self,
        config: SATConfig,
        memory: np.ndarray,
        on_vector: OnVector | None,
        empty: float = np.nan,
    ) -> None:
        self.config, self.memory, self.on_vector = config, memory, on_vector
        nan, cols = config.fmt.quiet_nan, config.cols
        # KiB of both halves, so 512 bytes each.
        self.a = np.full((2, config.a_scratch_kib * 512 // 2), nan, np.uint16)
        self.b = np.full((2, config.b_scratch_kib * 512 // (2 * cols), cols), nan, np.uint16)
        self.b_index = np.zeros(self.b.shape, np.uint8)
        self.c = np.full((2, config.c_scratch_kib * 512 // (4 * cols), cols), empty, np.float32)
        self.semaphores = Semaphores()
        self.load_a, self.load_b, self.store = Turn(), Turn(), Turn()
        self.exec_a, self.exec_b, self.exec_c = Turn(), Turn(), Turn()
        self.overflow = False

    def span(self, address: int, count: int) -> np.ndarray:
        """The `count` bytes of memory from `address`, a view."""
        check_range("memory", address, address + count - 1, self.memory.size)
        return self.memory[address : address + count]


def check_range(what: str, low: int, high: int, size: int) -> None:
    """Raise `MachineError` unless low..high (empty where high < low) lies in 0..size-1."""
    if low <= high and (low < 0 or high >= size):
        raise MachineError(f"RANGE: {what} {low}..{high}, it has 0..{size - 1}")


def mask(*semaphores: Sem) -> int:
    """The semaphores as the bits of one integer."""
    return sum(1 << sem for sem in semaphores)


def chunks(op: LoadA | Store) -> Iterator[tuple[int, int]]:
    """(o, i) of each chunk of a load or store, in order."""
    return ((o, i) for o in range(op.outer) for i in range(op.inner))
