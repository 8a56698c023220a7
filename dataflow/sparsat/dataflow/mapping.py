"""How a GEMM goes onto the array: dataflow and interleave, by exhaustive search.

The search space of one product is small (some hundred points), and the array's cycles are a closed
form, so the best point is found by trying all; no bound is needed to prove it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
        mapping
        for n, m in patterns
        for dataflow in policy.dataflows
        for ir, is_ in _interleaves(config, policy, n, m)
        for mapping in _map(config, shape, products, (dataflow, n, m, ir, is_), order, resume)
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


def _map(config, shape, products, choice, order, resume) -> Iterator[Mapping]:
    p, q, k = shape
    dataflow, n, m, ir, is_ = choice
    groups = -(-k // m)
    blocks_q = -(-q // (config.cols * is_))
    fields = dict(n=n, m=m, ir=ir, is_=is_, a_order=order, b_order=order)
    if dataflow is Dataflow.OS:
        blocks_p = -(-p // (config.rows * ir))
        tiles = blocks_p * blocks_q * products
        op = ArrayOp(dataflow=dataflow, groups=groups, tiles=tiles, resume=resume, **fields)
        ops: tuple[ArrayOp, ...] = (op,)
    else:
        passes = -(-groups // config.rows)
        slots, tiles = -(-p // ir), blocks_q * products
        ops = tuple(
            ArrayOp(
                dataflow=dataflow, groups=slots, tiles=tiles, resume=resume or number > 0, **fields
            )
            for number in range(passes)
        )
    yield Mapping(dataflow, n, m, ir, is_, ops, sum(array_cycles(config, op) for op in ops))
