"""Where everything lies: activations while they live, weights with all that belongs to them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparsat.dataflow.ir import MatMul, Step, Update
from sparsat.dataflow.layout import HALF, SINGLE, Weights
from sparsat.dataflow.nests import Nest, Pair, Reduce
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.regions import Regions
from sparsat.dataflow.sites import Site
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa import instructions as isa
from sparsat.hw.timing import BANKS

GUARD = 1 << 20
"""Bytes before the first tensor, and behind the last: the first slab of rows of an image may begin
before it, its last part may end behind it."""
HYPER = {
    name: int(np.float32(value).view(np.uint32))
    for name, value in {
        "rate": 0.1,
        "momentum_factor": 0.9,
        "decay": 5e-4,
        "masked_decay": 2e-4,
        "inverse_scale": 2.0**-10,
    }.items()
}
"""Hyperparameters that programs are made with; whoever trains writes others before each step."""
COPIES = ("forward", "forward_index", "backward", "backward_index")
Places = dict[str, int]
"""Addresses by the names that UPDATE has for them."""


@dataclass(frozen=True)
class WeightAddresses:
    """Of one parameter: its gradient, and the two sets of `master`, `momentum` and COPIES of which
    one step reads the first and writes the second."""

    gradient: int
    old: Places
    new: Places

    def update(self) -> Places:
        """Fields of UPDATE."""
        copies = {name: at for name, at in self.new.items() if name in COPIES}
        return {
            "gradient": self.gradient,
            "master": self.old["master"],
            "momentum": self.old["momentum"],
            "new_master": self.new["master"],
            "new_momentum": self.new["momentum"],
            **copies,
        }


class Addresses:
    """Addresses for one program; `of` and `update` are asked in program order.

    Without `pregenerated` the operand copies are dense. `parity` is the set of parameters that the
    step reads: 0 or 1, it writes the other. `end` is the first byte beyond all tensors.
    """

    def __init__(
        self, config: SATConfig, step: Step, sites: list[Site], *, pregenerated: bool, parity: int
    ) -> None:
        self._config, self._pregenerated, self._parity = config, pregenerated, parity
        self._regions = Regions(config, GUARD)
        self._weights = {
            site.op.layer: self._place(site) for site in sites if site.weights is not None
        }
        self._plain = {
            site.op.name: self._place_plain(site.op.name, site.op.work.elements)
            for site in sites
            if isinstance(site.op.work, Update) and site.weights is None
        }
        uses = Counter(site.op.layer for site in sites if site.op.stage == "WU")
        self._summed = {layer for layer, count in uses.items() if count > 1}
        self._sizes = _sizes(step, sites)
        self._dies = _last_uses(sites)
        self._at: dict[str, int] = {}
        self._number = 0

    @property
    def end(self) -> int:
        return self._regions.end + GUARD

    @property
    def places(self) -> dict[str, int]:
        """The address of every tensor that was asked for."""
        return dict(self._at)

    def of(self, site: Site) -> Operands:
        """Operands of a GEMM (0 for others); makes room for results, gives back what is read up."""
        number = self._number
        self._number += 1
        names = _names(site)
        for name in names:
            if name not in self._at:
                self._at[name] = self._regions.take(name, self._sizes.get(name, 0))
        found = self._operands(site)
        self._regions.give(name for name in names if self._dies[name] == number)
        return found

    def update(self, site: Site, *, turned: bool) -> isa.Update:
        """UPDATE of a weight with its copies, or of a plain parameter.

        `turned`: masters and gradient have their axes exchanged.
        """
        work = site.op.work
        assert isinstance(work, Update)
        if site.weights is None:
            blocks = self._blocks(work.elements)
            places = self._plain[site.op.name].update()
            return isa.Update(**places, **HYPER, n=4, log_m=log_m_of(4), out_blocks=blocks)
        n, m = self._copied(site)
        weights, at = site.weights, self._weights[site.op.layer]
        return isa.Update(
            **at.update(),
            copies=1,
            n=n,
            log_m=log_m_of(m),
            taps=weights.taps,
            in_blocks=weights.inputs // self._config.block,
            out_blocks=weights.outputs // self._config.block,
            transposed=int(turned),
            **HYPER,
        )

    def _blocks(self, elements: int) -> int:
        """Blocks that a plain parameter is padded to."""
        return -(-elements // self._config.block**2)

    def _place_plain(self, name: str, elements: int) -> WeightAddresses:
        return self._place_sets(name, self._blocks(elements) * self._config.block**2 * SINGLE, {})

    def _operands(self, site: Site) -> Operands:
        if not site.nests:
            return Operands(0, 0, 0)
        if site.weights is None:
            return Operands(self._at[site.a], self._at[site.b], self._at[site.out])
        weight = self._weights[site.op.layer]
        if isinstance(site.nests[0], Reduce):
            summed = site.op.layer in self._summed  # later, by a vector operation
            out = self._at[site.op.writes[0]] if summed else weight.gradient
            return Operands(self._at[site.a], self._at[site.b], out)
        values, indices = COPIES[:2] if site.forward else COPIES[2:]
        sparse = site.pattern is not None and self._pregenerated
        return Operands(
            self._at[site.a],
            weight.old[values],
            self._at[site.out],
            weight.old[indices] if sparse else 0,
        )

    def _copied(self, site: Site) -> tuple[int, int]:
        """The pattern of the copies in memory; dense ones count as 4:4."""
        return site.pattern if site.pattern and self._pregenerated else (4, 4)

    def _place(self, site: Site) -> WeightAddresses:
        weights: Weights = site.weights  # type: ignore[assignment]
        n, m = self._copied(site)
        wide = weights.elements * site.products * SINGLE
        rows = weights.copy_rows(n, m) * site.products
        values = rows * self._config.cols * HALF
        index = rows * self._config.cols // 2 if n < m else 0
        copies = {name: index if "index" in name else values for name in COPIES}
        return self._place_sets(site.op.layer, wide, copies)

    def _place_sets(self, name: str, wide: int, copies: Places) -> WeightAddresses:
        """Room for a parameter of `wide` bytes with operand copies of these sizes.

        Its update goes through five tensors at once, so these begin in banks well apart.
        """
        take = self._regions.take
        gradient = take(f"{name} gradient", wide)
        bank = self._regions.bank(gradient)
        sets: list[Places] = []
        for number in range(2):
            at = {k: take(f"{name} {k} {number}", size) for k, size in copies.items()}
            for kind in ("master", "momentum"):
                bank += BANKS // 5
                at[kind] = take(f"{name} {kind} {number}", wide, bank % BANKS)
            sets.append(at)
        return WeightAddresses(gradient, sets[self._parity], sets[1 - self._parity])


def _names(site: Site) -> tuple[str, ...]:
    """All tensors of an operation, each once."""
    product = (site.a, site.b) if isinstance(site.op.work, MatMul) else ()
    return tuple(dict.fromkeys((*site.op.reads, *site.op.writes, *product)))


def _last_uses(sites: list[Site]) -> dict[str, int]:
    """Number of the operation that uses each tensor last."""
    return {name: number for number, site in enumerate(sites) for name in _names(site)}


def _sizes(step: Step, sites: list[Site]) -> dict[str, int]:
    """Bytes of each tensor as the operations need it laid out."""
    sizes = {tensor.name: tensor.bytes for tensor in step.tensors}
    for site in sites:
        for nest in site.nests:
            for name, size in _needs(site, nest):
                sizes[name] = max(sizes.get(name, 0), size)
    return sizes


def _needs(site: Site, nest: Nest) -> Iterable[tuple[str, int]]:
    yield site.a, nest.a.bytes
    if isinstance(nest, Reduce):
        yield site.op.writes[0], nest.weights.elements * nest.products * SINGLE
    else:
        yield site.out, nest.out.bytes
    if isinstance(nest, Reduce | Pair):
        yield site.b, nest.b.bytes
