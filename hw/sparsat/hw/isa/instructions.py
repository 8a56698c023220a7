"""The instructions of SAT: plain data, one class each. docs/isa.md says what each does.

Addresses and strides in memory are bytes. Inside the machine a *row* is `cols` values: FP16 in the
B scratchpad, FP32 in the C scratchpad. A is addressed in values. Every instruction takes
`INSTRUCTION_BYTES`, see `encoding`.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from sparsat.hw.array_op import m_of

INSTRUCTION_BYTES = 256


class Opcode(IntEnum):
    HALT = 0
    LOAD_A = 1
    LOAD_B = 2
    EXEC = 3
    STORE = 4
    UPDATE = 5
    VECTOR = 6


class Sem(IntEnum):
    """Semaphores: counters that order the engines, in the order of their bits in a mask.

    The first six belong to the halves of the scratchpads; LOAD_A, LOAD_B, EXEC and STORE take and
    give them chunk by chunk, by themselves. The others are named after who gives and who takes
    them; only the masks `wait` and `signal` of instructions move them.
    """

    A_FULL = 0
    A_FREE = 1
    B_FULL = 2
    B_FREE = 3
    C_FULL = 4
    C_FREE = 5
    STORE_TO_LOAD_A = 6
    STORE_TO_LOAD_B = 7
    STORE_TO_UPDATE = 8
    STORE_TO_VECTOR = 9
    VECTOR_TO_LOAD_A = 10
    VECTOR_TO_LOAD_B = 11
    VECTOR_TO_UPDATE = 12


SEM_START = {Sem.A_FREE: 2, Sem.B_FREE: 2, Sem.C_FREE: 2}
"""Semaphores that start above 0: both halves of each scratchpad are free."""
SEM_MAX = 255


class Mode(IntEnum):
    """What happens to lines on their way into the B scratchpad."""

    COPY = 0
    TRANSPOSE = 1
    PRUNE = 2


class Advance(IntEnum):
    """When EXEC goes on to the other half of a scratchpad: once in all, with each outer chunk, or
    with every chunk."""

    ONCE = 0
    OUTER = 1
    EVERY = 2


@dataclass(frozen=True)
class Width:
    """How a field is encoded: `bits`, two's complement if `signed`."""

    bits: int
    signed: bool = False

    @property
    def least(self) -> int:
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def most(self) -> int:
        return self.least + (1 << self.bits) - 1


def u(bits: int, default: int = 0):
    """An unsigned field."""
    return field(default=default, metadata={"width": Width(bits)})


def s(bits: int, default: int = 0):
    """A signed field."""
    return field(default=default, metadata={"width": Width(bits, signed=True)})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What all have: `op`, a number for profiles; masks of `Sem` to take first and give last."""

    OPCODE: ClassVar[Opcode]

    op: int = u(24)
    wait: int = u(32)
    signal: int = u(32)


class Grouped:
    """Has a field `log_m` for the group size `m`."""

    log_m: int

    @property
    def m(self) -> int:
        return m_of(self.log_m)


@dataclass(frozen=True, kw_only=True)
class Halt(Instruction):
    """The program ends when every engine is done with what stands before."""

    OPCODE = Opcode.HALT


@dataclass(frozen=True, kw_only=True)
class LoadA(Instruction):
    """`outer` × `inner` chunks, each `segments` runs of `lines`, into alternating halves of A."""

    OPCODE = Opcode.LOAD_A

    address: int = u(40)
    outer: int = u(24, 1)
    outer_stride: int = s(40)
    inner: int = u(24, 1)
    inner_stride: int = s(40)
    segments: int = u(24, 1)
    segment_stride: int = s(40)
    lines: int = u(24)


@dataclass(frozen=True, kw_only=True)
class LoadB(LoadA, Grouped):
    """As LOAD_A, into halves of B; each chunk also takes the indices of its packed values.

    `mode` PRUNE keeps `n` of each `m` rows. TRANSPOSE turns each segment of `tokens` tokens of
    `channels` values into rows that hold one channel of `cols` tokens. The indices' segments lie at
    `index_address` with strides of their own; `index_lines` is 0 where nothing is packed.
    """

    OPCODE = Opcode.LOAD_B

    mode: int = u(2)
    n: int = u(5)
    log_m: int = u(2)
    tokens: int = u(24)
    channels: int = u(16)
    index_address: int = u(40)
    index_outer_stride: int = s(40)
    index_inner_stride: int = s(40)
    index_segment_stride: int = s(40)
    index_lines: int = u(24)


@dataclass(frozen=True, kw_only=True)
class Exec(Instruction, Grouped):
    """A tiled loop nest of GEMMs on the array: docs/isa.md has the loops and the addresses."""

    OPCODE = Opcode.EXEC

    # What the array does in one slot, see `ArrayOp`.
    ws: int = u(1)
    a_mn: int = u(1)
    b_mn: int = u(1)
    n: int = u(5)
    log_m: int = u(2)
    ir: int = u(6)
    is_: int = u(6)
    least_period: int = u(8)

    # Chunks, and what becomes of the halves.
    outer: int = u(24, 1)
    inner: int = u(24, 1)
    a_advance: int = u(2)
    b_advance: int = u(2)
    c_advance: int = u(2)
    a_held: int = u(1)
    a_keep: int = u(1)
    b_held: int = u(1)
    b_keep: int = u(1)
    c_held: int = u(1)
    c_keep: int = u(1)
    chain: int = u(1)
    resume: int = u(1)

    # Tiles of a chunk.
    p: int = u(24)
    tiles_p: int = u(24, 1)
    q_blocks: int = u(16)
    tiles_q: int = u(16, 1)
    groups: int = u(24)
    passes: int = u(16, 1)
    k: int = u(24)
    products0: int = u(16, 1)
    products1: int = u(16, 1)

    # A: two counters of three dimensions, the rows' and the reduction's.
    a_shared: int = u(1)
    a_base: int = s(32)
    a_outer: int = s(32)
    a_inner: int = s(32)
    a_product0: int = s(32)
    a_product1: int = s(32)
    r0_count: int = u(24, 1)
    r1_count: int = u(24, 1)
    r0_a: int = s(32)
    r1_a: int = s(32)
    r2_a: int = s(32)
    r0_x: int = s(8)
    r1_y: int = s(8)
    r1_x: int = s(8)
    r2_y: int = s(8)
    k0_count: int = u(24, 1)
    k1_count: int = u(24, 1)
    k0_a: int = s(32)
    k1_a: int = s(32)
    k2_a: int = s(32)
    k0_x: int = s(8)
    k1_y: int = s(8)
    k1_x: int = s(8)
    k2_y: int = s(8)
    y0: int = s(16)
    x0: int = s(16)
    y_outer: int = s(16)
    y_inner: int = s(16)
    height: int = u(16, 1)
    width: int = u(24, 1)

    # B rows.
    b_base: int = s(24)
    b_outer: int = s(24)
    b_product0: int = s(24)
    b_product1: int = s(24)
    b_k0: int = s(24)
    b_k1: int = s(24)
    b_k2: int = s(24)
    b_n: int = s(24)
    b_last: int = u(5)
    q0_count: int = u(16, 1)
    q1_count: int = u(16, 1)
    b_q0: int = s(24)
    b_q1: int = s(24)
    b_q2: int = s(24)
    b_k0_x: int = s(8)
    b_k1_y: int = s(8)
    b_q1_x: int = s(8)
    b_q2_y: int = s(8)
    b_y0: int = s(16)
    b_x0: int = s(16)
    b_y_inner: int = s(16)
    b_height: int = u(16, 1)
    b_width: int = u(24, 1)

    # C rows.
    c_base: int = u(24)
    c_product0: int = s(24)
    c_product1: int = s(24)
    c_p: int = s(24)
    c_q: int = s(24)


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """`outer` × `inner` chunks from alternating halves of C to memory, rounded to FP16 or as is.

    A chunk is three nested loops of runs; a run is `rows` rows, one after another in memory.
    """

    OPCODE = Opcode.STORE

    address: int = u(40)
    outer: int = u(24, 1)
    outer_stride: int = s(40)
    inner: int = u(24, 1)
    inner_stride: int = s(40)
    wide: int = u(1)
    rows: int = u(24)
    c_base: int = u(24)
    c_row: int = s(24, 1)
    d1_count: int = u(24, 1)
    d1_c: int = s(24)
    d1_stride: int = s(40)
    d2_count: int = u(24, 1)
    d2_c: int = s(24)
    d2_stride: int = s(40)
    d3_count: int = u(24, 1)
    d3_c: int = s(24)
    d3_stride: int = s(40)


@dataclass(frozen=True, kw_only=True)
class Update(Instruction, Grouped):
    """Momentum SGD on one tensor of weights, and its operands for the next step.

    It reads one set of addresses, `master`, `momentum` and `gradient`, and writes the others.
    """

    OPCODE = Opcode.UPDATE

    master: int = u(40)
    momentum: int = u(40)
    gradient: int = u(40)
    new_master: int = u(40)
    new_momentum: int = u(40)
    copies: int = u(1)
    n: int = u(5)
    log_m: int = u(2)
    taps: int = u(16, 1)
    in_blocks: int = u(24, 1)
    out_blocks: int = u(24, 1)
    forward: int = u(40)
    forward_index: int = u(40)
    backward: int = u(40)
    backward_index: int = u(40)
    rate: int = u(32)
    momentum_factor: int = u(32)
    decay: int = u(32)
    masked_decay: int = u(32)
    inverse_scale: int = u(32)
    transposed: int = u(1)


@dataclass(frozen=True, kw_only=True)
class Vector(Instruction):
    """An operation outside the GEMMs: `read` and `write` lines of memory pass by."""

    OPCODE = Opcode.VECTOR

    read: int = u(32)
    write: int = u(32)


INSTRUCTIONS: dict[Opcode, type[Instruction]] = {
    kind.OPCODE: kind for kind in (Halt, LoadA, LoadB, Exec, Store, Update, Vector)
}
