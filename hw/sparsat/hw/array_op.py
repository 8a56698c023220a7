"""One operation of the compute array, and how long it takes: plain data, no hardware.

An operation is a sequence of *slots*. In one slot each cell multiplies one k-group: N kept values
of M for `ir` rows of A and `is_` columns of B, N · ir · is_ cycles where nothing else limits it.
While a slot computes, the operands of the next one are loaded.

* output-stationary (OS): `groups` slots make a tile; `tiles` tiles follow each other. A tile is
  `rows · ir` × `cols · is_` outputs, which leave through the columns while the next tile computes.
* weight-stationary (WS): row r of the array holds k-group r of `cols · is_` columns of B for
  `groups` slots, each of which takes another `ir` rows of A to `cols · is_` sums over
  `rows · m` values of k. `tiles` such sets of weights follow each other.
"""

from dataclasses import dataclass
from enum import Enum

from numba.extending import register_jitable

from sparsat.hw.config import DENSE_GROUP_SIZES, GROUP_SIZES, SATConfig

ACC_LOOP = 4
"""Cycles from reading a sum to reading its next value: the least interleave at full rate."""
FEEDER_ROWS = 8
"""Rows of the array that one feeder serves, reading one word of A per cycle."""
WORD = 16
"""Values of A in a word."""
ROW_WORDS = 64
"""Words of A that are read ahead for a row."""
MAX_PERIOD = 255
"""Largest `least_period`."""
MAX_COUNT = (1 << 24) - 1
"""Largest `groups` and `tiles`."""


def m_of(log_m: int) -> int:
    """The group size that `log_m` stands for in requests and instructions."""
    return 2 << log_m


def log_m_of(m: int) -> int:
    """`log_m` of a group size: 0 for 2, 1 for 4, 2 for 8, 3 for 16."""
    return m.bit_length() - 2


def most_ws_ir(config: SATConfig) -> int:
    """The largest Ir with k-words, weight-stationary: a feeder's last row is as many slots behind
    its first one as it has rows, and a row keeps Ir words for each."""
    return ROW_WORDS // (min(config.rows, FEEDER_ROWS) + 2)


@register_jitable
def cycles_between_uses(interleave: int) -> int:
    """Of one accumulator."""
    return max(interleave, ACC_LOOP)


@register_jitable
def slot_period(n: int, m: int, ir: int, is_: int, a_link: int, least: int) -> int:
    """Cycles per slot: the slowest of the multiplier, the A link and what else holds it back.

    The B link needs is_ · n cycles, never more than the multiplier.
    """
    link = (ir * m + a_link - 1) // a_link
    return max(n * cycles_between_uses(ir * is_), link, least)


class Dataflow(Enum):
    """What stays in the cells."""

    OS = 0
    WS = 1


class Order(Enum):
    """How the values of one k-group follow each other on a link.

    K: the M values of k of one row of A (the N kept ones of one column of B), then the next row.
    MN: the rows of A (columns of B) at one k, then the next k. For dense operands.
    """

    K = 0
    MN = 1


@dataclass(frozen=True, kw_only=True)
class ArrayOp:
    """Parameters of one operation; `n == m` is dense.

    Parameters
    ----------
    dataflow : Dataflow
    n, m : int
        Kept values per group, group size.
    ir, is_ : int
        Interleave: rows of A and columns of B per cell.
    groups, tiles : int
        Slots per tile and tiles, see the module's text.
    a_order, b_order : Order
        Word orders of the two operands.
    resume : bool
        Sums start from values that enter from the north, else from +0.
    least_period : int
        Cycles that a slot takes at least, for operands that come no faster.
    """

    dataflow: Dataflow
    n: int
    m: int
    ir: int
    is_: int
    groups: int
    tiles: int = 1
    a_order: Order = Order.K
    b_order: Order = Order.K
    resume: bool = False
    least_period: int = 0

    @property
    def dense(self) -> bool:
        return self.n == self.m

    @property
    def interleave(self) -> int:
        return self.ir * self.is_

    def validate(self, config: SATConfig) -> None:
        """Raise ValueError that names the field, its value and the allowed range."""
        need = self._need
        for field, kind in self.__annotations__.items():
            known = f"of type {kind.__name__}"
            need(field, type(getattr(self, field)) is kind, known)
        sizes = DENSE_GROUP_SIZES if self.dense else GROUP_SIZES
        need(
            "m",
            self.m in sizes and self.m <= config.m_max,
            f"{'2, ' * self.dense}4, 8 or 16, up to {config.m_max}",
        )
        need("n", 1 <= self.n <= self.m, f"from 1 to m={self.m}")
        need("ir", self.ir >= 1, "at least 1")
        need("is_", self.is_ >= 1, "at least 1")
        if self.interleave > config.depth:
            raise ValueError(
                f"ArrayOp: ir·is_ is {self.ir}·{self.is_} = {self.interleave}, "
                f"it must be at most the interleave depth {config.depth}"
            )
        need(
            "ir",
            self.ir * self.m <= config.a_regs,
            f"at most {config.a_regs // self.m} at m={self.m}",
        )
        need(
            "is_",
            self.is_ * self.n <= config.b_regs,
            f"at most {config.b_regs // self.n} at n={self.n}",
        )
        for field in ("groups", "tiles"):
            need(field, 1 <= getattr(self, field) <= MAX_COUNT, f"from 1 to {MAX_COUNT}")
        need("least_period", 0 <= self.least_period <= MAX_PERIOD, f"from 0 to {MAX_PERIOD}")
        for field in ("a_order", "b_order"):
            order = getattr(self, field)
            need(field, order is Order.K or self.dense, f"K, since {self.n}:{self.m} is sparse")

    def _need(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(f"ArrayOp: {field} is {getattr(self, field)!r}, it must be {allowed}")

    def load_a(self, config: SATConfig) -> int:
        """Cycles a row takes to receive the A values of one slot."""
        return -(-self.ir * self.m // config.a_link)

    @property
    def load_b(self) -> int:
        """Cycles a column takes to receive the B values of one slot of one row."""
        return self.is_ * self.n

    @property
    def pace(self) -> int:
        """Cycles between two uses of one accumulator."""
        return cycles_between_uses(self.interleave)

    def period(self, config: SATConfig) -> int:
        """Cycles per slot, see `slot_period`."""
        return slot_period(self.n, self.m, self.ir, self.is_, config.a_link, self.least_period)

    def feed(self, config: SATConfig, shared: bool = True) -> int:
        """Cycles a feeder takes until it has read all words of a first slot.

        A word of 16 values holds k-groups of the next slots (OS) or rows (WS) too, or, in rows'
        order, values of the next rows (OS) or slots (WS). So on the whole reading is never slower
        than the A link, if words are `shared`: else `least_period` says so.
        """
        rows, os = min(config.rows, FEEDER_ROWS), self.dataflow is Dataflow.OS
        if not shared:
            return rows * (self.m if self.a_order is Order.MN else self.ir)
        if self.a_order is Order.MN:
            return self.m * (-(-rows * self.ir // WORD) if os else rows)
        return self.ir * (rows if os else -(-rows * self.m // WORD))

    def macs_per_cell(self) -> int:
        """Multiplications of one cell over the whole operation."""
        return self.tiles * self.groups * self.n * self.interleave


def deepest_interleave(
    config: SATConfig, n: int, m: int, ir: int | None = None, is_: int | None = None
) -> tuple[int, int]:
    """The (ir, is_) of most accumulators, the squarest of those; `ir` or `is_` may be given.

    What is given is not checked: `ArrayOp.validate` does that.
    """
    pairs = [
        (i, j)
        for i in ([ir] if ir is not None else range(1, config.a_regs // m + 1))
        for j in ([is_] if is_ is not None else range(1, config.b_regs // n + 1))
        if i * j <= config.depth
    ]
    return max(pairs, key=lambda pair: (pair[0] * pair[1], min(pair)), default=(ir or 1, is_ or 1))
