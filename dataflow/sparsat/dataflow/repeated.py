"""Groups whose weights do not fit the scratchpad together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from sparsat.dataflow.array_work import Work
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Spread
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.spread import SpreadPlan
from sparsat.hw.isa.instructions import Instruction


@dataclass(frozen=True)
class Repeated:
    """The plans of single groups, one after another."""

    plans: tuple[SpreadPlan, ...]

    @property
    def nest(self) -> Spread:
        """Of all groups."""
        return replace(self.plans[0].nest, products=len(self.plans))

    @property
    def mapping(self) -> Mapping:
        return self.plans[0].mapping

    @property
    def prune(self) -> bool:
        return self.plans[0].prune

    def works(self) -> Iterator[Work]:
        return chain.from_iterable(plan.works() for plan in self.plans)

    def array_cycles(self) -> int:
        return sum(plan.array_cycles() for plan in self.plans)

    def lines(self) -> tuple[int, int, int]:
        moved = [plan.lines() for plan in self.plans]
        return sum(total for total, _, _ in moved), moved[0][1], moved[-1][2]

    def emit(self, at: Operands) -> list[Instruction]:
        return [each for plan in self.plans for each in plan.emit(at)]
