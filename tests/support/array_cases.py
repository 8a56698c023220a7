"""GEMMs for the array: every kind of operation, random operands, and the golden sums."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from sparsat.algo.golden import DTYPES, gemm, gemm_packed
from sparsat.dataflow.array_gemm import ArrayGemm, GroupedB
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.formats import BF16, FloatFormat
from sparsat.hw.tools.array_model import ArrayModel, ArrayStreams

SPARSE = ((1, 4), (2, 4), (1, 8), (2, 8), (3, 8), (4, 8), (1, 16), (2, 16), (5, 16))
PATTERNS = (*SPARSE, (2, 2), (4, 4), (8, 8), (16, 16))
"""(n, m), the dense ones last."""
OPERANDS = ("normal", "wild", "special")
"""Kinds of operands: standard normal, any finite bits, and some infinities, NaN and subnormals."""
STALLS = (0.0, 0.0, 0.3, 0.9)
BFLOAT = preset("tiny").with_(
    name="bfloat",
    rows=3,
    cols=2,
    sore_lanes=2,
    wuve_lanes=2,
    a_link=1,
    depth=32,
    a_regs=64,
    b_regs=64,
    fmt=BF16,
)
"""Few cells with large registers: what one operation leaves behind in counters lasts longest."""


@dataclass(frozen=True)
class Kind:
    """What the tests must cover: a pattern, a dataflow and the word orders that go with them."""

    n: int
    m: int
    dataflow: Dataflow
    a_order: Order
    b_order: Order


def kinds(m_max: int = 16) -> list[Kind]:
    """Every kind with groups of at most `m_max`."""
    return [
        Kind(n, m, dataflow, a_order, b_order)
        for n, m in PATTERNS
        if m <= m_max
        for dataflow in Dataflow
        for a_order in (Order if n == m else (Order.K,))
        for b_order in (Order if n == m else (Order.K,))
    ]


def interleaves(config: SATConfig, n: int, m: int) -> list[tuple[int, int]]:
    """Every legal (ir, is_)."""
    return [
        (ir, is_)
        for ir in range(1, config.a_regs // m + 1)
        for is_ in range(1, config.b_regs // n + 1)
        if ir * is_ <= config.depth
    ]


@dataclass(frozen=True)
class Case:
    """A GEMM with operands of kind `operands` from `seed`; `stall` as in `ArrayModel.run`."""

    gemm: ArrayGemm
    operands: str
    stall: float
    seed: int

    @cached_property
    def vectors(self) -> "Vectors":
        gemm_, rng = self.gemm, np.random.default_rng(self.seed)
        fmt, shape_b = gemm_.config.fmt, (gemm_.q, gemm_.k // gemm_.m, gemm_.n)
        a = operand_bits(rng, fmt, (gemm_.p, gemm_.k), self.operands)
        b = GroupedB(operand_bits(rng, fmt, shape_b, self.operands), _indices(rng, gemm_))
        c = sum_bits(rng, (gemm_.p, gemm_.q), self.operands) if gemm_.resume else None
        return Vectors(gemm_.streams(a, b, c), _golden(gemm_, a, b, c))


@dataclass(frozen=True)
class Vectors:
    """What enters the array, and the binary32 bits [P, Q] that it must give."""

    streams: ArrayStreams
    golden: np.ndarray


def cases(config: SATConfig, per_kind: int, seed: int) -> Iterator[Case]:
    """`per_kind` random cases of every kind, in a fixed order.

    Shapes reach from one output to three blocks of tiles, seldom of whole tiles.
    """
    rng = np.random.default_rng(seed)
    for kind in kinds(config.m_max):
        legal = interleaves(config, kind.n, kind.m)
        for number in range(per_kind):
            ir, is_ = legal[rng.integers(len(legal))]
            rows, groups = (config.rows, 10) if kind.dataflow is Dataflow.OS else (4, config.rows)
            gemm_ = ArrayGemm(
                config=config,
                p=int(rng.integers(1, 3 * rows * ir + 1)),
                q=int(rng.integers(1, 3 * config.cols * is_ + 1)),
                k=kind.m * int(rng.integers(1, groups + 1)),
                ir=ir,
                is_=is_,
                resume=bool(number % 2),
                **vars(kind),
            )
            yield Case(
                gemm=gemm_,
                operands=OPERANDS[number % 3],
                stall=STALLS[number // 2 % len(STALLS)],
                seed=int(rng.integers(1 << 31)),
            )


def run(
    model: ArrayModel, run_cases: Sequence[Case], stall: float = 0.0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Run the cases' operations one after another; returns each one's sums [P, Q] and cycles."""
    streams = [case.vectors.streams for case in run_cases]
    ops = [case.gemm.op for case in run_cases]
    sums, cycles, *_ = model.run(ops, _join(streams), seed=run_cases[0].seed, stall=stall)
    ends = np.cumsum([one.sums for one in streams])[:-1]
    parts = np.split(sums, ends, axis=1)
    return [case.gemm.outputs(x) for case, x in zip(run_cases, parts, strict=True)], cycles


def operand_bits(
    rng: np.random.Generator, fmt: FloatFormat, shape: tuple[int, ...], kind: str
) -> np.ndarray:
    """Random operands as uint16 bits, see `OPERANDS`."""
    if kind == "wild":
        bits = rng.integers(1 << fmt.width, size=shape, dtype=np.uint16)
        infinite = (bits >> fmt.frac_bits & fmt.exp_max) == fmt.exp_max
        return np.where(infinite, bits ^ (1 << (fmt.width - 2)), bits).astype(np.uint16)
    normal = torch.from_numpy(rng.standard_normal(shape)).to(DTYPES[fmt])
    bits = normal.view(torch.uint16).numpy()
    return _sprinkle(rng, bits, _corners(fmt)) if kind == "special" else bits


def sum_bits(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Random binary32 values as uint32 bits."""
    scale = 2.0 ** rng.integers(-60, 60, shape) if kind == "wild" else 1.0
    bits = (rng.standard_normal(shape) * scale).astype(np.float32).view(np.uint32)
    corners = [0x7F80_0000, 0xFF80_0000, 0x7FC0_1234, 0xFFFF_FFFF, 0x8000_0000, 0x807F_FFFF]
    return _sprinkle(rng, bits, corners) if kind == "special" else bits


def tensor(bits: np.ndarray, fmt: FloatFormat) -> torch.Tensor:
    """Operand bits as a tensor of the format's type."""
    return torch.from_numpy(bits).view(DTYPES[fmt])


def bits_of(sums: torch.Tensor) -> np.ndarray:
    """binary32 sums as uint32 bits."""
    return sums.numpy().view(np.uint32)


def _corners(fmt: FloatFormat) -> list[int]:
    """Infinity, NaN, -0, the smallest and largest subnormal, the largest number; both signs."""
    infinity = fmt.exp_max << fmt.frac_bits
    subnormal = (1 << fmt.frac_bits) - 1
    positive = [infinity, infinity + 1, fmt.quiet_nan, 0, 1, subnormal, infinity - 1]
    return positive + [1 << (fmt.width - 1) | bits for bits in positive]


def _sprinkle(rng: np.random.Generator, bits: np.ndarray, corners: Sequence[int]) -> np.ndarray:
    """Put a corner in place of one in fifty."""
    chosen = rng.choice(np.array(corners, bits.dtype), bits.shape)
    return np.where(rng.random(bits.shape) < 0.02, chosen, bits)


def _indices(rng: np.random.Generator, gemm_: ArrayGemm) -> np.ndarray:
    """Ascending random indices [Q, G, N]; zeros where the operand is dense."""
    if gemm_.n == gemm_.m:
        return np.zeros((gemm_.q, gemm_.k // gemm_.m, gemm_.n), np.uint8)
    order = rng.random((gemm_.q, gemm_.k // gemm_.m, gemm_.m)).argsort(-1)
    return np.sort(order[..., : gemm_.n], -1).astype(np.uint8)


def _golden(gemm_: ArrayGemm, a: np.ndarray, b: GroupedB, c: np.ndarray | None) -> np.ndarray:
    fmt = gemm_.config.fmt
    start = None if c is None else torch.from_numpy(c.view(np.float32))
    left, values = tensor(a, fmt), tensor(b.values, fmt)
    if gemm_.n == gemm_.m:
        return bits_of(gemm(left, values.flatten(1).t(), start, fmt=fmt))
    return bits_of(gemm_packed(left, values, torch.from_numpy(b.indices), gemm_.m, start, fmt))


def _join(streams: Sequence[ArrayStreams]) -> ArrayStreams:
    def join(ports: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        return [np.concatenate(words) for words in zip(*ports, strict=True)]

    return ArrayStreams(
        a=join([one.a for one in streams]),
        b=join([one.b for one in streams]),
        c=join([one.c for one in streams]),
        sums=sum(one.sums for one in streams),
    )
