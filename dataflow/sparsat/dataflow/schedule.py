"""From a captured step to a program, under a named policy."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Step, Update, Vector
from sparsat.dataflow.mapping import Mapping, Policy, best_mapping
from sparsat.dataflow.products import (
    HALF,
    SINGLE,
    Gemm,
    backward,
    forward,
    product,
    weight_gradient,
)
from sparsat.dataflow.program import COLUMNS, GO, Engine, Program, Sem, instruction, mask
from sparsat.dataflow.tiling import Piece, cut
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import SATConfig

BOTH = (Dataflow.OS, Dataflow.WS)
MASTER_BYTES = 8
"""FP32 master weight and momentum."""
PIECES = (1, 8, 24)
"""Into how many pieces at least a GEMM is cut: the fastest of these is taken."""
LATENCY = 60
"""A guess at the memory's latency in cycles, for choosing among them."""
ENGINE, WAIT, SIGNAL = (COLUMNS.index(name) for name in ("engine", "wait", "signal"))


@dataclass(frozen=True)
class Schedule:
    """A named policy: what the mapping may choose, and when weights are pruned."""

    name: str
    policy: Policy
    pregenerate: bool = True


SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        Schedule("optimal", Policy(BOTH, "any")),
        Schedule("paper", Policy(BOTH, "fixed")),
        Schedule("os", Policy((Dataflow.OS,), "any")),
        Schedule("ws", Policy((Dataflow.WS,), "any")),
        Schedule("no-interleave", Policy(BOTH, "none")),
        Schedule("online-sore", Policy(BOTH, "any"), pregenerate=False),
    )
}


@dataclass(frozen=True)
class Block:
    """The instructions of one GEMM operation, and what the array does in them.

    `rows` are those of a `Program`. `macs` are products of kept values, `dense_macs` of all,
    `mapping` is that of the piece that takes longest, `slots` and
    `draining` are sums of `Mapping.slots` and `Mapping.draining`.
    """

    rows: np.ndarray
    mapping: Mapping
    macs: int
    dense_macs: int
    slots: int
    draining: int


@dataclass(frozen=True)
class Plan:
    """How one operation runs. `joined`: the next one starts without waiting for its results."""

    op: Op
    pattern: tuple[int, int] | None = None
    block: Block | None = None
    joined: bool = False


@dataclass(frozen=True)
class Scheduled:
    """The program of a step, and the plan of each of its operations."""

    program: Program
    plans: list[Plan]


def schedule_step(
    config: SATConfig, step: Step, schedule: Schedule, pattern: tuple[int, int] | None
) -> Scheduled:
    """Schedule every operation of `step`; `pattern` is (n, m), None for dense training.

    ValueError where the pattern or a layer does not fit the machine.
    """
    if pattern and pattern[1] > config.m_max:
        raise ValueError(
            f"pattern {pattern[0]}:{pattern[1]} does not fit config {config.name}: "
            f"its groups hold at most {config.m_max} values"
        )
    builder = _Builder(config, schedule, pattern, step.layer)
    for op in step.ops:
        try:
            builder.add(op)
        except ValueError as error:
            raise ValueError(f"{op.name} does not fit config {config.name}: {error}") from None
    return Scheduled(builder.program(), builder.plans)


class _Builder:
    """Plans and instructions, operation by operation; equal operations are scheduled once."""

    def __init__(
        self,
        config: SATConfig,
        schedule: Schedule,
        pattern: tuple[int, int] | None,
        layers: dict[str, Layer],
    ):
        self.config, self.schedule, self.pattern, self.layers = config, schedule, pattern, layers
        self.parts: list[np.ndarray] = []
        self.plans: list[Plan] = []
        self.unwaited: set[str] = set()  # tensors that operations nobody waited for write
        self.blocks: dict[tuple, Block] = {}

    def program(self) -> Program:
        program = Program()
        for rows in self.parts:
            program.add(rows)
        return program

    def add(self, op: Op) -> None:
        match op.work:
            case Vector() as work:
                lines = self._lines(work.bytes_read) + self._lines(work.bytes_written)
                self._alone(instruction(Engine.VECTOR, lines=lines), Plan(op))
            case Update() as work:
                self._alone(self._update(op, work), Plan(op, self._pattern_of(op)))
            case Conv() | MatMul():
                self._gemm(op)

    def _update(self, op: Op, work: Update) -> list[int]:
        """Stream gradient, master and momentum in; master, momentum and the operands out."""
        moved = SINGLE + MASTER_BYTES + MASTER_BYTES
        lines = self._lines(round(work.elements * (moved + self._operand_bytes(op, work))))
        cycles = -(-work.elements // self.config.wuve_lanes)
        return instruction(Engine.UPDATE, lines=lines, cycles=cycles)

    def _operand_bytes(self, op: Op, work: Update) -> float:
        """Bytes per weight of what the update writes for the GEMMs: W, or packed Wf and Wb."""
        pattern = self._pattern_of(op) if work.prunable else None
        if pattern is None or not self.schedule.pregenerate:
            return HALF
        return 2 * _packed_bytes(pattern)

    def _alone(self, row: list[int], plan: Plan) -> None:
        """An instruction that starts when all before it is done."""
        self._append(np.array([row], np.int64), plan)

    def _gemm(self, op: Op) -> None:
        pattern = self._pattern_of(op) if op.stage in ("FF", "BP") else None
        key = (op.work, op.stage, pattern)
        if key not in self.blocks:
            self.blocks[key] = self._block(op, pattern)
        block = self.blocks[key]
        self._append(block.rows.copy(), Plan(op, pattern, block))

    def _append(self, rows: np.ndarray, plan: Plan) -> None:
        """Wait for what came before, but for GEMMs that have nothing to do with this one."""
        before = self.plans[-1] if self.plans else None
        free = self.unwaited.isdisjoint((*plan.op.reads, *plan.op.writes))
        if before and before.block and plan.block and free:
            self.plans[-1] = replace(before, joined=True)
        elif before:
            go = mask(GO[Engine(rows[0, ENGINE])])
            self.parts[-1][-1, SIGNAL] |= go
            rows[0, WAIT] |= go
            self.unwaited = set()
        self.unwaited.update(plan.op.writes)
        self.parts.append(rows)
        self.plans.append(plan)

    def _block(self, op: Op, pattern: tuple[int, int] | None) -> Block:
        """The fastest, by `_estimate`, of all orientations and numbers of pieces."""
        gemms = _gemms(op)
        orientations = [gemms]
        if op.stage == "WU":
            orientations.append([gemm.swapped() for gemm in gemms])
        blocks = [
            self._rows(gemms, cuts, pattern)
            for gemms in orientations
            for cuts in self._cuts(gemms, pattern)
        ]
        return min(blocks, key=_estimate)

    def _cuts(
        self, gemms: list[Gemm], pattern: tuple[int, int] | None
    ) -> Iterator[list[list[Piece]]]:
        """The pieces of each product, for each number of pieces that makes a difference."""
        before = 0
        for least in PIECES:
            if before >= least:
                continue
            cuts = [cut(self.config, gemm, self._b_bytes(gemm, pattern), least) for gemm in gemms]
            before = min(map(len, cuts))
            yield cuts

    def _rows(
        self, gemms: list[Gemm], cuts: list[list[Piece]], pattern: tuple[int, int] | None
    ) -> Block:
        """The block of the pieces of `gemms`; equal ones, which may be many, are mapped once."""
        rows: list[list[int]] = []
        times: list[tuple[Mapping, int]] = []
        for gemm, pieces in zip(gemms, cuts, strict=True):
            counts = Counter(pieces)
            mappings = {piece: self._map(piece, gemm, pattern) for piece in counts}
            emitted = {piece: self._emit(piece, mappings[piece], pattern) for piece in counts}
            rows.extend(row for piece in pieces for row in emitted[piece])
            times.extend((mappings[piece], count) for piece, count in counts.items())
        n, m = pattern or (1, 1)
        macs = sum(gemm.macs for gemm in gemms)
        return Block(
            rows=np.array(rows, np.int64),
            mapping=max((mapping for mapping, _ in times), key=lambda mapping: mapping.cycles),
            macs=macs * n // m,
            dense_macs=macs,
            slots=sum(each.slots(self.config) * count for each, count in times),
            draining=sum(each.draining(self.config) * count for each, count in times),
        )

    def _map(self, piece: Piece, gemm: Gemm, pattern: tuple[int, int] | None) -> Mapping:
        order = Order.MN if gemm.reduces_images else Order.K
        shape, policy = piece.shape, self.schedule.policy
        return best_mapping(
            self.config, policy, shape, piece.products, pattern, order, piece.resume
        )

    def _b_bytes(self, gemm: Gemm, pattern: tuple[int, int] | None) -> int:
        if pattern is None:
            return gemm.b_bytes
        return math.ceil(gemm.k * gemm.q * _packed_bytes(pattern))

    def _emit(
        self, piece: Piece, mapping: Mapping, pattern: tuple[int, int] | None
    ) -> list[list[int]]:
        """Load, execute, and store if the sums are complete."""
        b_bytes, sore = piece.load_b, 0
        if pattern and not self.schedule.pregenerate and piece.load_b:
            _, q, k = piece.shape
            b_bytes = piece.products * q * k * HALF
            sore = -(-piece.products * q * k // self.config.sore_lanes)
        lines = self._lines(piece.load_a) + self._lines(b_bytes)
        load = instruction(
            Engine.LOAD, lines=lines, cycles=sore, wait=(Sem.FREE,), signal=(Sem.FULL,)
        )
        execute = instruction(
            Engine.EXEC,
            cycles=mapping.cycles,
            wait=(Sem.FULL,) if piece.resume else (Sem.FULL, Sem.C_FREE),
            signal=(Sem.FREE, Sem.C_FULL) if piece.store else (Sem.FREE,),
        )
        if not piece.store:
            return [load, execute]
        store = instruction(
            Engine.STORE,
            lines=self._lines(piece.store),
            wait=(Sem.C_FULL,),
            signal=(Sem.C_FREE,),
        )
        return [load, execute, store]

    def _pattern_of(self, op: Op) -> tuple[int, int] | None:
        """The pattern of the weights of an operation's layer: None where they stay dense."""
        layer = self.layers.get(op.layer)
        if self.pattern is None or layer is None or not layer.prunable:
            return None
        conv, m = layer.conv, self.pattern[1]
        whole = conv.ci % m == 0 and conv.co % m == 0 and conv.groups == 1
        return self.pattern if whole and not layer.first and not layer.head else None

    def _lines(self, bytes_: int) -> int:
        return -(-bytes_ // self.config.line_bytes)


def _estimate(block: Block) -> int:
    """Cycles of a block's instructions, if each piece's array time hides other pieces' moving."""
    rows = block.rows
    engine, lines, cycles = rows[:, 0], rows[:, 1], rows[:, 2]
    pieces = np.cumsum(engine == Engine.LOAD) - 1
    moving = np.bincount(pieces, lines)
    moving = np.maximum(moving, np.bincount(pieces, np.where(engine == Engine.LOAD, cycles, 0)))
    array = np.bincount(pieces, np.where(engine == Engine.EXEC, cycles, 0))
    ends = max(lines[0], cycles[0]) + lines[-1] + 2 * LATENCY
    return int(ends + np.maximum(moving, array).sum())


def _packed_bytes(pattern: tuple[int, int]) -> float:
    """Bytes per weight, value and four bits of index for each kept one."""
    return 2.5 * pattern[0] / pattern[1]


def _gemms(op: Op) -> list[Gemm]:
    work = op.work
    if isinstance(work, MatMul):
        return product(work)
    assert isinstance(work, Conv)
    lower = {"FF": forward, "BP": backward, "WU": weight_gradient}
    if not work.transposed:
        return lower[op.stage](work)
    return lower[{"FF": "BP", "BP": "FF"}.get(op.stage, op.stage)](work.mirrored())
