"""A host in a program: VECTORs before its loads and behind its stores, which change all memory."""

from dataclasses import replace
from itertools import chain

import numpy as np

from sparsat.hw.isa.instructions import Halt, Instruction, LoadA, LoadB, Sem, Store, Vector

KEYS = {1: 0x55, 2: 0xA7}
"""By `op`: the bytes of operands and results come from the host, and go to it, XOR this."""
BEFORE: dict[type, Sem] = {LoadA: Sem.VECTOR_TO_LOAD_A, LoadB: Sem.VECTOR_TO_LOAD_B}


def with_host(program: list[Instruction]) -> list[Instruction]:
    """The program between two VECTORs, in an order that semaphores keep."""
    body = [each for each in program if not isinstance(each, Halt)]
    loads = {kind: _places(body, kind)[:1] for kind in BEFORE}
    stores = _places(body, Store)[-1:]
    for place in chain(*loads.values()):
        own = 1 << BEFORE[type(body[place])]
        body[place] = replace(body[place], wait=body[place].wait | own)
    for place in stores:
        body[place] = replace(body[place], signal=body[place].signal | 1 << Sem.STORE_TO_VECTOR)
    first = sum(1 << BEFORE[kind] for kind, places in loads.items() if places)
    last = 1 << Sem.STORE_TO_VECTOR if stores else 0
    return [Vector(op=1, signal=first), *body, Vector(op=2, wait=last), Halt()]


def work(op: int, memory: np.ndarray) -> None:
    """What the host does."""
    memory ^= np.uint8(KEYS[op])


def _places(body: list[Instruction], kind: type) -> list[int]:
    return [place for place, each in enumerate(body) if type(each) is kind]
