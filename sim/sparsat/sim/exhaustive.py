"""Every plan of a product on the timed machine: how good is the one that the estimate chooses?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparsat.dataflow.addresses import Addresses
from sparsat.dataflow.choose import Plan, choose, plans
from sparsat.dataflow.ir import Op, Step
from sparsat.dataflow.nests import Nest
from sparsat.dataflow.order import Ordering
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.sites import Site, sites
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction
from sparsat.sim.machine import run

Pattern = tuple[int, int]
POLICY = SCHEDULES["optimal"].policy


@dataclass(frozen=True)
class Product:
    """One product run alone by every plan there is: cycles of the `chosen` and the `best` one."""

    op: Op
    plans: int
    chosen: int
    best: int

    @property
    def gap(self) -> float:
        """Time that the chosen plan takes beyond the best one's, as a part of that."""
        return self.chosen / self.best - 1


def products(
    config: SATConfig, step: Step, pattern: Pattern | None, memory: str
) -> Iterator[Product]:
    """All different products of a step under the schedule `optimal`."""
    seen: set[tuple[tuple[Nest, ...], Pattern | None]] = set()
    for site in sites(config, step, pattern):
        kept = site.pattern if site.op.stage != "WU" else None
        if site.nests and (site.nests, kept) not in seen:
            seen.add((site.nests, kept))
            yield _product(config, step, site, kept, memory)


def _product(
    config: SATConfig, step: Step, site: Site, pattern: Pattern | None, memory: str
) -> Product:
    def cycles(plan: Plan) -> int:
        return run(config, _alone(config, step, site, plan), memory).cycles

    chosen = cycles(choose(config, POLICY, site.nests, pattern, False))
    every = [cycles(plan) for plan in plans(config, POLICY, site.nests, pattern, False)]
    return Product(site.op, len(every), chosen, min(every, default=chosen))


def _alone(config: SATConfig, step: Step, site: Site, plan: Plan) -> list[Instruction]:
    """A program of one product."""
    at = Addresses(config, step, [site], pregenerated=True, parity=0).of(site)
    program: list[Instruction] = []
    instructions = [replace(each, op=0) for each in plan.emit(at)]
    Ordering(program).gemm(instructions, site.op, b_is_weight=site.weighted)
    return [*program, Halt()]
