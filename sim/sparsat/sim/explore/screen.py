"""A step's time and energy without its program: what exploration screens designs by.

Of every product all mappings are tried, but only with a few tilings, those that fit one of the
mappings. The estimate is the scheduler's, `choose.estimate`; products of the same shape are looked
at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np

from sparsat.dataflow import pair_fit, reduce_fit, spread_fit
from sparsat.dataflow.array_work import ArraySize, best_of_all
from sparsat.dataflow.choose import Plan
from sparsat.dataflow.geometry import nests
from sparsat.dataflow.halves import Halves
from sparsat.dataflow.mapping import Mapping, mappings
from sparsat.dataflow.nests import Nest, Pair, Reduce, Spread
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.array_op import FEEDER_ROWS, Order
from sparsat.hw.config import SATConfig, preset
from sparsat.sim.energy import PICOJOULES, slot_picojoules
from sparsat.sim.explore.rates import memory_rates
from sparsat.sim.explore.summary import Pattern, Product, Summary
from sparsat.sim.memory import LATENCY

POLICY = SCHEDULES["optimal"].policy
TILINGS = 4
"""Tilings of a product that are tried, of either way round."""


@dataclass(frozen=True)
class Estimate:
    """A step's time in cycles, and energy, as `Timed.totals` would give them."""

    cycles: int
    joules: float


def estimate_step(config: SATConfig, memory: str, summary: Summary) -> Estimate:
    """ValueError where an operation fits no tiling tried, or ports are faster than memory."""
    rates = memory_rates(config, memory, summary)
    cycles = idle = lines = 0
    picojoules = 0.0
    for product, count in summary.products.items():
        found = _best(config, product, summary.step.batch)
        cycles += count * found.cycles
        lines += count * found.lines
        if product.stage != "FF":  # updates come behind it
            idle += count * max(found.cycles - found.lines, 0)
        picojoules += count * found.picojoules
    moved = -(-summary.vectors // config.line_bytes)
    both = 2 * moved.min(axis=1).sum()
    alone = moved.sum() - both
    vector = both * rates.mixed + alone * rates.alone + 2 * LATENCY * len(moved)
    update = summary.updates * rates.update
    cycles += int(vector + max(update - idle, 0))
    lines += int(moved.sum() + summary.updates * rates.update_lines)
    picojoules += lines * config.line_bytes * PICOJOULES["memory byte"]
    return Estimate(cycles, picojoules * 1e-12)


@dataclass(frozen=True)
class Found:
    """Of one product."""

    cycles: int
    lines: int
    picojoules: float


def _best(config: SATConfig, product: Product, batch: int) -> Found:
    """The mapping and tiling of the least estimate."""
    nest = tuple(nests(config, product.work, product.stage, batch, product.first))
    chosen, table = _mappings(_array_part(config), product.pattern, _order(nest[0]))
    plans = list(_tilings(Halves.of(config), nest, chosen[0]))
    if not plans:
        raise ValueError(f"{product.stage} of {product.work} fits none of the tilings tried")
    works = [(number, work) for number, plan in enumerate(plans) for work in plan.works()]
    best = best_of_all(
        ArraySize.of(config),
        table,
        np.array([work for _, work in works], np.int64),
        np.array([number for number, _ in works], np.int64),
        np.array([plan.lines() for plan in plans], np.int64),
    )
    lines = plans[best.plan].lines()[0]
    slots = best.slots * slot_picojoules(config, chosen[best.mapping].op(1, 1))
    return Found(int(best.estimate) + 2 * LATENCY, lines, slots)


def _order(nest: Nest) -> Order:
    turned = isinstance(nest, Reduce) or (isinstance(nest, Pair) and nest.a_turned)
    return Order.MN if turned else Order.K


def _tilings(halves: Halves, nest: tuple[Nest, ...], mapping: Mapping) -> Iterator[Plan]:
    first = nest[0]
    found: list[Iterable[Plan]]
    if isinstance(first, Reduce):
        both = (first, replace(first, turned=True))
        found = [reduce_fit.candidates(halves, each, mapping) for each in both]
    elif isinstance(first, Pair):
        found = [pair_fit.candidates(halves, first, mapping)]
    else:
        phases = tuple(each for each in nest if isinstance(each, Spread))
        found = [spread_fit.candidates(halves, phases, mapping, prune=False)]
    for candidates in found:
        yield from islice(candidates, TILINGS)


def _array_part(config: SATConfig) -> SATConfig:
    """A machine with the same mappings."""
    rows = min(config.rows, FEEDER_ROWS)
    same = {name: getattr(config, name) for name in ("m_max", "depth", "a_regs", "b_regs")}
    return preset("vcu1525").with_(rows=rows, **same)


@lru_cache(maxsize=512)
def _mappings(
    part: SATConfig, pattern: Pattern | None, order: Order
) -> tuple[list[Mapping], np.ndarray]:
    """All of them, the deepest interleave first, and as `best_of_all` takes them."""
    found = list(mappings.__wrapped__(part, POLICY, pattern, order))
    found.sort(key=lambda mapping: (not mapping.os, -mapping.ir * mapping.is_))
    return found, np.array([mapping.slots for mapping in found], np.int64)
