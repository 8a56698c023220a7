"""From a captured step to a program, under a named policy."""

from dataclasses import dataclass

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Step, Update, Vector
from sparsat.dataflow.mapping import Mapping, Policy, best_mapping
from sparsat.dataflow.products import Gemm, backward, forward, product, weight_gradient
from sparsat.dataflow.program import Engine, Program, Sem
from sparsat.dataflow.tiling import Piece, cut
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import SATConfig

BOTH = (Dataflow.OS, Dataflow.WS)
MASTER_BYTES = 8
"""FP32 master weight and momentum."""


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
class Plan:
    """How one operation runs: its mapping (of its largest piece) and useful multiplications."""

    op: Op
    pattern: tuple[int, int] | None
    mapping: Mapping | None
    macs: int


@dataclass(frozen=True)
class Scheduled:
    """The program of a step, and the plan of each of its operations."""

    program: Program
    plans: list[Plan]


def schedule_step(
    config: SATConfig, step: Step, schedule: Schedule, pattern: tuple[int, int] | None
) -> Scheduled:
    """Schedule every operation of `step`; `pattern` is (n, m), None for dense training."""
    builder = _Builder(config, schedule, pattern, {layer.name: layer for layer in step.layers})
    for op in step.ops:
        builder.add(op)
    return Scheduled(builder.program, builder.plans)


class _Builder:
    def __init__(
        self,
        config: SATConfig,
        schedule: Schedule,
        pattern: tuple[int, int] | None,
        layers: dict[str, Layer],
    ):
        self.config, self.schedule, self.pattern, self.layers = config, schedule, pattern, layers
        self.line = config.axi_bits // 8 * config.channels
        self.program = Program()
        self.plans: list[Plan] = []

    def add(self, op: Op) -> None:
        match op.work:
            case Vector():
                self._vector(op, op.work)
            case Update():
                self._update(op, op.work)
            case Conv() | MatMul():
                self._gemm(op)

    def _vector(self, op: Op, work: Vector) -> None:
        lines = self._lines(work.bytes_read) + self._lines(work.bytes_written)
        self._alone(Engine.VECTOR, op, lines, 0)

    def _update(self, op: Op, work: Update) -> None:
        """Stream gradient, master and momentum in; master, momentum and the operand forms out."""
        out = MASTER_BYTES + self._weight_bytes(op) * work.elements / work.elements
        lines = self._lines(int(work.elements * (4 + MASTER_BYTES + out)))
        self._alone(Engine.UPDATE, op, lines, -(-work.elements // self.config.wuve_lanes))

    def _weight_bytes(self, op: Op) -> float:
        """Bytes per weight of what the update writes for the GEMMs."""
        pattern = self._pattern(op.layer)
        if pattern is None or not self.schedule.pregenerate:
            return 2.0
        return 2 * _packed_bytes(pattern)

    def _alone(self, engine: Engine, op: Op, lines: int, cycles: int) -> None:
        """An instruction that starts when all before it is done."""
        index = len(self.plans)
        wait = (Sem.DONE,) if index else ()
        self.program.add(engine, index, lines=lines, cycles=cycles, wait=wait, signal=(Sem.DONE,))
        self.plans.append(Plan(op, None, None, 0))

    def _gemm(self, op: Op) -> None:
        index = len(self.plans)
        pattern = self._pattern(op.layer) if op.stage in ("FF", "BP") else None
        gemms = _gemms(op)
        if op.stage == "WU":
            gemms = min((gemms, [_swapped(g) for g in gemms]), key=self._cycles_of)
        pieces = [
            (piece, self._map(piece, gemm, pattern), gemm)
            for gemm in gemms
            for piece in cut(self.config, gemm, self._b_bytes(gemm, pattern))
        ]
        for number, (piece, mapping, gemm) in enumerate(pieces):
            self._emit(index, piece, mapping, gemm, pattern, number, len(pieces))
        macs = sum(gemm.macs for gemm in gemms)
        largest = max((mapping for _, mapping, _ in pieces), key=lambda m: m.cycles)
        n, m = pattern or (1, 1)
        self.plans.append(Plan(op, pattern, largest, macs * n // m))

    def _cycles_of(self, gemms: list[Gemm]) -> int:
        return sum(
            self._map(piece, gemm, None).cycles
            for gemm in gemms
            for piece in cut(self.config, gemm, gemm.b_bytes)
        )

    def _map(self, piece: Piece, gemm: Gemm, pattern: tuple[int, int] | None) -> Mapping:
        order = Order.MN if gemm.reduces_images else Order.K
        return best_mapping(
            self.config,
            self.schedule.policy,
            piece.shape,
            piece.products,
            pattern,
            order,
            piece.resume,
        )

    def _b_bytes(self, gemm: Gemm, pattern: tuple[int, int] | None) -> int:
        if pattern is None:
            return gemm.b_bytes
        return int(gemm.k * gemm.q * _packed_bytes(pattern))

    def _emit(
        self,
        index: int,
        piece: Piece,
        mapping: Mapping,
        gemm: Gemm,
        pattern: tuple[int, int] | None,
        number: int,
        count: int,
    ) -> None:
        add, first, last = self.program.add, number == 0, number == count - 1
        wait_done = (Sem.DONE,) if first and index else ()
        loads = [bytes_ for bytes_ in (piece.load_a, piece.load_b) if bytes_]
        sore = 0
        if pattern and not self.schedule.pregenerate and piece.load_b:
            loads = [piece.load_a, int(piece.load_b / _packed_bytes(pattern) * 2)]
            sore = -(-gemm.k * gemm.q // self.config.sore_lanes)
        add(
            Engine.LOAD,
            index,
            lines=sum(self._lines(x) for x in loads),
            cycles=sore,
            wait=(*wait_done, Sem.A_FREE),
            signal=(Sem.A_FULL,),
        )
        store = piece.store > 0
        add(
            Engine.EXEC,
            index,
            cycles=mapping.cycles,
            wait=(Sem.A_FULL, Sem.C_FREE) if not piece.resume else (Sem.A_FULL,),
            signal=(Sem.A_FREE, Sem.C_FULL) if store else (Sem.A_FREE,),
        )
        if store:
            add(
                Engine.STORE,
                index,
                lines=self._lines(piece.store),
                wait=(Sem.C_FULL,),
                signal=(Sem.C_FREE, Sem.DONE) if last else (Sem.C_FREE,),
            )

    def _pattern(self, name: str) -> tuple[int, int] | None:
        """The pattern of a layer's weights: None where they stay dense."""
        layer = self.layers.get(name)
        if self.pattern is None or layer is None or not layer.prunable:
            return None
        conv, m = layer.conv, self.pattern[1]
        whole = conv.ci % m == 0 and conv.co % m == 0 and conv.groups == 1
        return self.pattern if whole and not layer.first and not layer.head else None

    def _lines(self, bytes_: int) -> int:
        return -(-bytes_ // self.line)


def _packed_bytes(pattern: tuple[int, int]) -> float:
    """Bytes per weight, value and four bits of index for each kept one."""
    return 2.5 * pattern[0] / pattern[1]


def _gemms(op: Op) -> list[Gemm]:
    work = op.work
    if isinstance(work, MatMul):
        return product(work)
    assert isinstance(work, Conv)
    stage = op.stage
    if work.transposed:
        work = work.mirrored()
        stage = {"FF": "BP", "BP": "FF"}.get(stage, stage)
    return {"FF": forward, "BP": backward, "WU": weight_gradient}[stage](work)


def _swapped(gemm: Gemm) -> Gemm:
    """Cᵀ = Bᵀ · Aᵀ: the same product with rows and columns exchanged."""
    from dataclasses import replace

    return replace(gemm, p=gemm.q, q=gemm.p, a_bytes=gemm.b_bytes, b_bytes=gemm.a_bytes)
