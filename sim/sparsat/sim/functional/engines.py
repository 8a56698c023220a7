"""Runs a program: each engine a coroutine that yields the semaphores it takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction, Opcode, Vector

from .execs import execute
from .loads import load_a, load_b
from .state import Machine, MachineError, OnVector
from .stores import store
from .updates import update


@dataclass(frozen=True)
class Flags:
    """What a program leaves in the machine's registers.

    overflow : an UPDATE met a gradient that is not finite: what updates wrote is worthless.
    """

    overflow: bool


@dataclass(frozen=True, eq=False)
class _Wait:
    """Instruction `index` takes the semaphores of `mask` next; no two waits are the same."""

    index: int
    mask: int


def run(
    config: SATConfig,
    program: list[Instruction],
    memory: np.ndarray,
    on_vector: OnVector | None = None,
    *,
    empty: float = np.nan,
    ended: Callable[[int], None] = lambda number: None,
) -> Flags:
    """Execute `program` on `memory`, in place.

    Parameters
    ----------
    config : SATConfig
    program : instructions with valid fields; what follows the first HALT is not reached.
    memory : uint8 [bytes].
    on_vector : called for each VECTOR with its `op` and `memory`.
    empty : what C holds at first: NaN, so that a program that reads what it never computed shows
        it; 0 in hardware.
    ended : called with the number of each instruction that has ended.

    Queues have no end here; the timed machine knows their depth. Raises `MachineError` where
    docs/isa.md has an error and names the instruction; memory then holds what was done until then.
    """
    if memory.dtype != np.uint8 or memory.ndim != 1:
        raise TypeError(f"memory is {memory.dtype} {memory.shape}, it must be uint8 [bytes]")
    ends = [index for index, each in enumerate(program) if isinstance(each, Halt)]
    if not ends:
        raise ValueError("the program has no HALT")
    machine = Machine(config, memory, on_vector, empty)
    reached = list(enumerate(program[: ends[0] + 1]))
    queues = {opcode: [n for n in reached if n[1].OPCODE is opcode] for opcode in ENGINES}
    _drive(machine, [_engine(machine, queue, ended) for queue in queues.values()], program)
    return Flags(overflow=machine.overflow)


def _drive(machine: Machine, engines: list[Iterator[_Wait]], program: list[Instruction]) -> None:
    """Let each engine go as far as it can, round and round until all are done."""
    waits = [next(engine, None) for engine in engines]
    while any(waits):
        before = list(waits)
        for number, engine in enumerate(engines):
            while (wait := waits[number]) and machine.semaphores.take(wait.mask):
                waits[number] = next(engine, None)
        if waits == before:
            raise MachineError(f"DEADLOCK: {_blocked(machine, waits, program)}")


def _blocked(machine: Machine, waits: list[_Wait | None], program: list[Instruction]) -> str:
    return "; ".join(
        f"instruction {wait.index} ({program[wait.index].OPCODE.name}) waits for "
        + ", ".join(sem.name for sem in machine.semaphores.missing(wait.mask))
        for wait in waits
        if wait
    )


def _engine(
    machine: Machine, queue: list[tuple[int, Any]], ended: Callable[[int], None]
) -> Iterator[_Wait]:
    """One engine at work: goes on once the semaphores that it yields are taken."""
    for index, instruction in queue:
        yield _Wait(index, instruction.wait)
        try:
            for mask in ENGINES[instruction.OPCODE](machine, instruction):
                yield _Wait(index, mask)
            machine.semaphores.give(instruction.signal)
            ended(index)
        except ValueError as error:
            name = instruction.OPCODE.name
            raise MachineError(f"instruction {index} ({name}): {error}") from error


def _vector(machine: Machine, op: Vector) -> Iterator[int]:
    yield from ()
    if machine.on_vector is None:
        raise ValueError("the program has VECTOR, but run was given no on_vector")
    machine.on_vector(op.op, machine.memory)


def _halt(machine: Machine, op: Halt) -> Iterator[int]:
    yield from ()


ENGINES: dict[Opcode, Callable[[Machine, Any], Iterator[int]]] = {
    Opcode.LOAD_A: load_a,
    Opcode.LOAD_B: load_b,
    Opcode.EXEC: execute,
    Opcode.STORE: store,
    Opcode.UPDATE: update,
    Opcode.VECTOR: _vector,
    Opcode.HALT: _halt,
}
"""The engines in the order in which they are served, which must not matter."""
