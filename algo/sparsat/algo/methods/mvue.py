"""MVUE: the output gradient pruned N:M without bias in WU, so that WU's GEMM is sparse too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..patterns import NMPattern
from ..sites import Site
from .base import Method
from .bdwp import BDWP

MAX_SUBSETS = 1000


class GradientPattern(NMPattern):
    """A pattern of gradients, which may also have the paper's groups of 2."""

    sizes: ClassVar[tuple[int, ...]] = (2, *NMPattern.sizes)


@dataclass(frozen=True)
class MVUE(Method):
    """Minimum-variance unbiased gradients (Chmiel et al. 2023, "Minimum variance unbiased N:M
    sparsity for the neural gradients"), over BDWP's weights or dense ones.

    WU reads dy pruned to `gradient` ("1:2", "2:4", ...; "dense" for none) along batch and space,
    its reduction axis. The pairing with
    BDWP (`weights`: "bdwp" or "dense") is ours: it makes all three GEMMs N:M sparse.
    """

    name: ClassVar[str] = "mvue"
    weights: str = "bdwp"
    gradient: str = "2:4"
    decay: float = 2e-4

    def __post_init__(self) -> None:
        if self.weights not in ("bdwp", "dense"):
            raise ValueError(f"weights is {self.weights!r}; allowed: bdwp, dense")
        check_subsets(GradientPattern.parse(self.gradient))

    @property
    def _weights(self) -> Method:
        return BDWP(decay=self.decay) if self.weights == "bdwp" else Method()

    @property
    def axes(self) -> tuple[int, ...]:
        return self._weights.axes

    def stages(self, site: Site) -> dict[str, float]:
        density = GradientPattern.parse(self.gradient).density
        return {**self._weights.stages(site), "WU": density}

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        return self._weights.pregenerate(site)

    def mask(self, site: Site) -> Tensor:
        return self._weights.mask(site)

    def adjust_grad(self, site: Site, grad: Tensor, scale: float | Tensor) -> None:
        self._weights.adjust_grad(site, grad, scale)

    def wu_rule(self, site: Site, dy: Tensor) -> Tensor:
        return prune_along_batch(dy, site.gemms.channel_dim, GradientPattern.parse(self.gradient))


def prune_along_batch(dy: Tensor, channel_dim: int, pattern: NMPattern) -> Tensor:
    """`mvue` of dy over groups of consecutive (n, h, w) positions of one channel."""
    if pattern.is_dense:
        return dy
    moved = dy.movedim(channel_dim, 0)
    rows = moved.flatten(1)  # [channels, positions]
    padded = F.pad(rows, (0, -rows.shape[1] % pattern.m))
    pruned = mvue(padded, pattern)[:, : rows.shape[1]]
    return pruned.reshape(moved.shape).movedim(0, channel_dim)


def mvue(a: Tensor, pattern: NMPattern) -> Tensor:
    """Unbiased N:M sparsification along the last axis: E[result] = a, entry by entry.

    Each group draws `n_keep` entries without replacement, with chances proportional to |a|, and
    keeps them as a/p, p the chance of being drawn (Chmiel et al. 2023; of minimal variance for
    one kept entry, the paper's approximation for more).
    """
    groups = a.unflatten(-1, (-1, pattern.m))
    size = groups.abs().float()
    chance = inclusion(size, pattern.n_keep)
    exponential = torch.empty_like(size).exponential_()
    arrival = torch.where(size > 0, exponential / size, torch.inf)  # first come = drawn first
    drawn = arrival.argsort(dim=-1)[..., : pattern.n_keep]
    kept = torch.zeros_like(size, dtype=torch.bool).scatter_(-1, drawn, True) & (size > 0)
    scaled = groups / torch.where(kept, chance, 1.0)  # in float32 at least
    return torch.where(kept, scaled, 0.0).to(a.dtype).flatten(-2)


def inclusion(size: Tensor, n_keep: int) -> Tensor:
    """Chance [..., m] that each entry is among `n_keep` draws without replacement ∝ `size`.

    Sums over the sets that can have been drawn: P(S) = Σ_{i in S} P(S - i) · size_i / rest(S - i).
    Where no more than `n_keep` entries are non-zero, all of those are drawn.
    """
    m = size.shape[-1]
    size = size / size.amax(-1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
    chances: dict[tuple[int, ...], Tensor] = {(): torch.ones_like(size[..., 0])}
    for drawn in range(n_keep):
        rest = {s: _sum_outside(size, s) for s in combinations(range(m), drawn)}
        chances = {
            s: sum(
                (chances[t] * size[..., i] / rest[t] for i, t in _without_each(s)),
                start=torch.zeros_like(size[..., 0]),
            )
            for s in combinations(range(m), drawn + 1)
        }
    columns = [
        sum((p for s, p in chances.items() if i in s), start=torch.zeros_like(size[..., 0]))
        for i in range(m)
    ]
    few = (size > 0).sum(-1, keepdim=True) <= n_keep
    return torch.where(few, (size > 0).to(size.dtype), torch.stack(columns, -1))


def check_subsets(pattern: NMPattern) -> None:
    """Raise `ValueError` where `inclusion` would have to sum over too many sets."""
    subsets = sum(1 for _ in combinations(range(pattern.m), pattern.n_keep))
    if subsets > MAX_SUBSETS:
        raise ValueError(
            f"gradient pattern is {pattern}: {subsets} sets to draw; allowed: up to {MAX_SUBSETS}"
        )


def _sum_outside(size: Tensor, taken: tuple[int, ...]) -> Tensor:
    """What is left to draw from; 1 where nothing is, as those draws have no chance anyway."""
    left = [i for i in range(size.shape[-1]) if i not in taken]
    rest = size[..., left].sum(-1)
    return torch.where(rest > 0, rest, 1.0)


def _without_each(s: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    for position, i in enumerate(s):
        yield i, s[:position] + s[position + 1 :]
