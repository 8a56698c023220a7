"""A host in a program: VECTORs before its reads and behind its stores, which change all memory."""

from dataclasses import replace
from itertools import chain

import numpy as np

from sparsat.hw.isa.instructions import (
    INSTRUCTIONS,
    Halt,
    Instruction,
    Opcode,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.isa.semaphores import BETWEEN

KEYS = {1: 0x55, 2: 0xA7}
"""By `op`: the bytes of operands and results come from the host, and go to it, XOR this."""
BEFORE = {INSTRUCTIONS[to]: sem for (by, to), sem in BETWEEN.items() if by == Opcode.VECTOR}


def with_host(program: list[Instruction]) -> list[Instruction]:
    """The program behind a VECTOR, and before one unless it has UPDATEs: no VECTOR can wait for
    these. Semaphores keep the order."""
    body = [each for each in program if not isinstance(each, Halt)]
    reads = {kind: _places(body, kind)[:1] for kind in BEFORE}
    for place in chain(*reads.values()):
        own = 1 << BEFORE[type(body[place])]
        body[place] = replace(body[place], wait=body[place].wait | own)
    first = sum(1 << BEFORE[kind] for kind, places in reads.items() if places)
    body.insert(0, Vector(op=1, signal=first))
    if not reads[Update]:
        last = 1 << Sem.STORE_TO_VECTOR
        stores = _places(body, Store)[-1:]
        for place in stores:
            body[place] = replace(body[place], signal=body[place].signal | last)
        body.append(Vector(op=2, wait=last if stores else 0))
    return [*body, Halt()]


def work(op: int, memory: np.ndarray) -> None:
    """What the host does."""
    memory ^= np.uint8(KEYS[op])


def results(program: list[Instruction], memory: np.ndarray) -> np.ndarray:
    """Memory behind a program `with_host`, as it was before the last VECTOR."""
    last = program[-2]
    return memory ^ np.uint8(KEYS[2]) if isinstance(last, Vector) else memory


def _places(body: list[Instruction], kind: type) -> list[int]:
    return [place for place, each in enumerate(body) if type(each) is kind]
