"""How a GEMM goes onto the array: dataflow and interleave, by exhaustive search.

The search space of one product is small (some hundred points), and the array's cycles are a closed
form, so the best point is found by trying all; no bound is needed to prove it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import GROUP_SIZES, SATConfig
from sparsat.hw.timing import array_cycles


@dataclass(frozen=True)
class Policy:
    """What a schedule may choose from.

    `dataflows`, and whether the interleave is free (`any`), the deepest one of a fixed shape
    (`fixed`), or absent (`none`).
    """

    dataflows: tuple[Dataflow, ...]
    interleave: str


@dataclass(frozen=True)
class Mapping:
    """One way to run products of p × q × k: `ops` run one after another, `cycles` in all."""

    dataflow: Dataflow
    n: int
    m: int
    ir: int
    is_: int
    ops: tuple[ArrayOp, ...]
    cycles: int

    def slots(self, config: SATConfig) -> int:
        """Those of the cycles in which the cells have a slot to compute."""
        return sum(op.tiles * op.groups * op.period(config) for op in self.ops)

    def draining(self, config: SATConfig) -> int:
        """Those of the cycles that pass in tiles whose sums leave more slowly than they come."""
        return sum(op.tiles * _drain(config, op) for op in self.ops if _drains(config, op))


def _drain(config: SATConfig, op: ArrayOp) -> int:
    return (config.rows + op.resume) * op.interleave


def _drains(config: SATConfig, op: ArrayOp) -> bool:
    """Whether the sums of a tile leave more slowly than the next tile computes."""
    return op.dataflow is Dataflow.OS and _drain(config, op) > op.groups * op.period(config)


@cache
def best_mapping(
    config: SATConfig,
    policy: Policy,
    shape: tuple[int, int, int],
    products: int,
    pattern: tuple[int, int] | None,
    order: Order,
    resume: bool,
) -> Mapping:
    """The fastest mapping of `products` GEMMs [p, k] · [k, q] of `shape` (p, q, k).

    `pattern` is (n, m) of B, None if dense, which may then run in groups of any size. Ties go to
    the first in order of search. ValueError where nothing fits.
    """
    patterns = [pattern] if pattern else [(m, m) for m in GROUP_SIZES if m <= config.m_max]
    candidates = (
        _map(config, shape, products, (dataflow, n, m, ir, is_), order, resume)
        for n, m in patterns
        for dataflow in policy.dataflows
        for ir, is_ in _interleaves(config, policy, n, m)
    )
    found = min(candidates, key=lambda mapping: mapping.cycles, default=None)
    if found is None:
        raise ValueError(f"pattern {pattern} does not fit the array: m is at most {config.m_max}")
    return found


def _interleaves(config: SATConfig, policy: Policy, n: int, m: int) -> Iterator[tuple[int, int]]:
    legal = [
        (ir, is_)
        for ir in range(1, config.a_regs // m + 1)
        for is_ in range(1, config.b_regs // n + 1)
        if ir * is_ <= config.depth
    ]
    if policy.interleave == "none":
        return iter([(1, 1)])
    if policy.interleave == "fixed":
        return iter([max(legal, key=lambda pair: (pair[0] * pair[1], min(pair)))])
    return iter(legal)


def _map(
    config: SATConfig,
    shape: tuple[int, int, int],
    products: int,
    choice: tuple[Dataflow, int, int, int, int],
    order: Order,
    resume: bool,
) -> Mapping:
    """The mapping of one choice of dataflow, n, m, ir and is_."""
    p, q, k = shape
    dataflow, n, m, ir, is_ = choice
    groups = -(-k // m)
    blocks_q = -(-q // (config.cols * is_))
    op = ArrayOp(
        dataflow=dataflow,
        n=n,
        m=m,
        ir=ir,
        is_=is_,
        groups=groups,
        tiles=-(-p // (config.rows * ir)) * blocks_q * products,
        a_order=order,
        b_order=order,
        resume=resume,
    )
    ops: tuple[ArrayOp, ...] = (op,)
    if dataflow is Dataflow.WS:
        first = replace(op, groups=-(-p // ir), tiles=blocks_q * products)
        passes = -(-groups // config.rows)
        ops = (first, *[replace(first, resume=True)] * (passes - 1))
    cycles = sum(count * array_cycles(config, op) for op, count in Counter(ops).items())
    return Mapping(dataflow, n, m, ir, is_, ops, cycles)
