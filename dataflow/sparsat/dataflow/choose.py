"""Which plan a GEMM runs by: all mappings and tilings, the shortest estimate wins."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import inf

from sparsat.dataflow import pair_fit, reduce_fit, spread_fit
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.mapping import Policy, mappings
from sparsat.dataflow.nests import Nest, Pair, Reduce, Spread
from sparsat.dataflow.pair import PairPlan
from sparsat.dataflow.reduce import ReducePlan
from sparsat.dataflow.repeated import Repeated
from sparsat.dataflow.spread import SpreadPlan
from sparsat.hw.array_op import Order
from sparsat.hw.config import SATConfig

Plan = SpreadPlan | ReducePlan | PairPlan | Repeated


def plans(
    config: SATConfig,
    policy: Policy,
    nests: tuple[Nest, ...],
    pattern: tuple[int, int] | None,
    prune: bool,
) -> Iterator[Plan]:
    """The whole search space, in a fixed order."""
    halves, first = Halves.of(config), nests[0]
    if isinstance(first, Reduce):
        for nest in (first, replace(first, turned=True)):
            for mapping in mappings(config, policy, None, Order.MN):
                yield from reduce_fit.candidates(halves, nest, mapping)
        return
    if isinstance(first, Pair):
        for mapping in mappings(config, policy, None, Order.MN if first.a_turned else Order.K):
            yield from pair_fit.candidates(halves, first, mapping)
        return
    phases = tuple(nest for nest in nests if isinstance(nest, Spread))
    for mapping in mappings(config, policy, pattern, Order.K):
        yield from spread_fit.candidates(halves, phases, mapping, prune)


def estimate(plan: Plan) -> int:
    """Cycles if the array hides all moving but the first chunk's loads and the last's stores, but
    for memory's latency."""
    lines, first, last = plan.lines()
    return max(plan.array_cycles(), lines) + first + last


def _shortest(candidates: Iterator[Plan]) -> Plan | None:
    """The plan of the least estimate, the first of equals.

    Lines are counted only where the array alone would not be too long already.
    """
    best, least = None, inf
    for plan in candidates:
        if plan.array_cycles() < least:
            cycles = estimate(plan)
            if cycles < least:
                best, least = plan, cycles
    return best


@lru_cache(maxsize=4096)
def choose(
    config: SATConfig,
    policy: Policy,
    nests: tuple[Nest, ...],
    pattern: tuple[int, int] | None,
    prune: bool,
) -> Plan:
    """The plan of the least estimate, the first of equals. ValueError if none fits the machine."""
    best = _shortest(plans(config, policy, nests, pattern, prune))
    first = nests[0]
    if best is None and isinstance(first, Spread) and first.products > 1:
        groups = [
            tuple(nest.single(product) for nest in nests if isinstance(nest, Spread))
            for product in range(first.products)
        ]
        found = (choose(config, policy, each, pattern, prune) for each in groups)
        return Repeated(tuple(plan for plan in found if isinstance(plan, SpreadPlan)))
    if best is None:
        raise ValueError(
            "its smallest slab or column block does not fit the scratchpads; "
            "smaller images or a config with larger scratchpads would"
        )
    return best
