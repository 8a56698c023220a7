"""How a GEMM goes onto the array: dataflow, group size, interleave. The space of all choices."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from sparsat.dataflow.array_work import ArraySize, Slots, Work, cycles_and_slots, least_period
from sparsat.hw.array_op import ArrayOp, Dataflow, Order, log_m_of, most_ws_ir
from sparsat.hw.config import DENSE_GROUP_SIZES, GROUP_SIZES, SATConfig

BOTH = (Dataflow.OS, Dataflow.WS)


@dataclass(frozen=True)
class Policy:
    """What a schedule may choose from.

    `dataflows`, and whether the interleave is free (`any`), the deepest one of a fixed shape
    (`fixed`), or absent (`none`).
    """

    dataflows: tuple[Dataflow, ...] = BOTH
    interleave: str = "any"


@dataclass(frozen=True)
class Mapping:
    """What the array does in a slot: `ArrayOp` without its counts."""

    dataflow: Dataflow
    n: int
    m: int
    ir: int
    is_: int
    a_order: Order
    b_order: Order

    @property
    def os(self) -> bool:
        return self.dataflow is Dataflow.OS

    def least_period(self, groups_per_tap: int) -> int:
        return least_period(self.a_order is Order.K, self.m, self.ir, groups_per_tap)

    @cached_property
    def slots(self) -> Slots:
        words = self.a_order is Order.K
        return Slots(int(self.os), self.n, self.m, self.ir, self.is_, int(words))

    def array_cycles(self, config: SATConfig, works: Iterable[Work]) -> int:
        """Cycles of the array for everything."""
        size = ArraySize.of(config)
        return sum(cycles_and_slots(size, self.slots, work)[0] for work in works)

    def fields(self, least: int = 0) -> dict[str, int]:
        """Of EXEC. Feeders share words unless slots of `least` cycles let them read each."""
        return {
            "ws": int(not self.os),
            "a_mn": self.a_order.value,
            "b_mn": self.b_order.value,
            "n": self.n,
            "log_m": log_m_of(self.m),
            "ir": self.ir,
            "is_": self.is_,
            "least_period": least,
            "a_shared": int(least == 0),
        }

    def op(self, groups: int, tiles: int, resume: bool = False, least: int = 0) -> ArrayOp:
        return ArrayOp(
            dataflow=self.dataflow,
            n=self.n,
            m=self.m,
            ir=self.ir,
            is_=self.is_,
            groups=groups,
            tiles=tiles,
            a_order=self.a_order,
            b_order=self.b_order,
            resume=resume,
            least_period=least,
        )


@lru_cache(maxsize=4096)
def mappings(
    config: SATConfig, policy: Policy, pattern: tuple[int, int] | None, a_order: Order
) -> tuple[Mapping, ...]:
    """All choices in a fixed order; `pattern` is (n, m) of B, None if dense.

    Dense operands run in groups of any size, of two only in weight gradients, whose few columns
    need the deep interleave. ValueError where nothing fits.
    """
    sizes = GROUP_SIZES if a_order is Order.K else DENSE_GROUP_SIZES
    patterns = [pattern] if pattern else [(m, m) for m in sizes if m <= config.m_max]
    found = tuple(
        Mapping(dataflow, n, m, ir, is_, a_order, Order.K)
        for n, m in patterns
        for dataflow in policy.dataflows
        for ir, is_ in _interleaves(config, policy, dataflow, n, m, a_order)
    )
    if not found:
        raise ValueError(f"pattern {pattern} does not fit the array: m is at most {config.m_max}")
    return found


def _interleaves(
    config: SATConfig, policy: Policy, dataflow: Dataflow, n: int, m: int, a_order: Order
) -> Iterator[tuple[int, int]]:
    legal = [
        (ir, is_)
        for ir in range(1, config.a_regs // m + 1)
        for is_ in range(1, config.b_regs // n + 1)
        if ir * is_ <= config.depth and (a_order is Order.K or ir in (1, 2, 4, 8, 16))
        if dataflow is Dataflow.OS or a_order is Order.MN or ir <= most_ws_ir(config)
    ]
    if policy.interleave == "none":
        return iter([(1, 1)])
    if policy.interleave == "fixed":
        return iter([max(legal, key=lambda pair: (pair[0] * pair[1], min(pair)))])
    return iter(legal)
