"""Semaphores between operations: who waits for whose results.

An engine that has waited for a result need not wait for earlier ones of the same giver, since every
engine works in order. So each pair of giver and taker counts on: a token is given only where it is
taken, and taken in the order in which it is given.
"""

from collections.abc import Sequence
from dataclasses import replace

from sparsat.dataflow.ir import Op
from sparsat.hw.isa.instructions import (
    Instruction,
    LoadA,
    LoadB,
    Sem,
)
from sparsat.hw.isa.semaphores import BETWEEN


class Ordering:
    """Appends instructions to a program and sets their waits and signals.

    Vector operations wait for all results before them, and products for all vector operations
    before them; a product waits for another one only where it reads its result, updates for all
    products and vector operations before them.
    """

    def __init__(self, program: list[Instruction]) -> None:
        self._program = program
        self._store = self._vector = -1  # latest instruction of each giver
        self._writer: dict[str, int] = {}  # the STORE that wrote a tensor last
        self._seen: dict[Sem, int] = {}  # latest giver that each taker has waited for

    def vector(self, instruction: Instruction, op: Op) -> None:
        self._program.append(instruction)
        self._vector = len(self._program) - 1
        self._wait(self._vector, self._store)
        for name in op.writes:
            self._writer.pop(name, None)

    def update(self, instruction: Instruction) -> None:
        self._program.append(instruction)
        at = len(self._program) - 1
        self._wait(at, self._store)
        self._wait(at, self._vector)

    def gemm(self, instructions: Sequence[Instruction], op: Op, *, b_is_weight: bool) -> bool:
        """Whether it waits for the results of the product or vector operation before it."""
        first = len(self._program)
        self._program.extend(instructions)
        written = max((self._writer.get(name, -1) for name in op.reads), default=-1)
        waits = self._vector > self._store or written == self._store
        for kind in (LoadA,) if b_is_weight else (LoadA, LoadB):
            at = next(i for i in range(first, len(self._program)) if type(self._program[i]) is kind)
            self._wait(at, self._vector)
            self._wait(at, written)
        self._store = len(self._program) - 1
        for name in op.writes:
            self._writer[name] = self._store
        return waits

    def _wait(self, taker: int, giver: int) -> None:
        """Have one instruction wait for another, unless there is none or it already does."""
        if giver < 0:
            return
        sem = BETWEEN[self._program[giver].OPCODE, self._program[taker].OPCODE]
        if self._seen.get(sem, -1) >= giver:
            return
        self._seen[sem] = giver
        self._set(taker, wait=sem)
        self._set(giver, signal=sem)

    def _set(self, index: int, **masks: Sem) -> None:
        old = self._program[index]
        new = {name: getattr(old, name) | 1 << sem for name, sem in masks.items()}
        self._program[index] = replace(old, **new)
