"""Bi-Mask: a forward mask, and a backward mask taken from what the forward one kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..patterns import NMPattern
from ..sites import Site
from .base import IN, OUT, ForwardPruning


@dataclass(frozen=True)
class BiMask(ForwardPruning):
    """Bi-Mask (Zhang et al. 2023, "Bi-directional masks for efficient N:M sparse training").

    BP reads the forward-pruned weight pruned again, N:M along permuted outputs. Every
    `search_every` steps the best of `candidates` random permutations is taken, the one under which
    most entries survive; `seed` is the run's (`NMConfig.seed`) unless given. That groups run along
    channels, not along the flattened kernel, and that the permutation is over output channels, is
    our reading.
    """

    name: ClassVar[str] = "bi-mask"
    state_keys: ClassVar[tuple[str, ...]] = ("permutation",)
    decay: float = 2e-4
    search_every: int = 100
    candidates: int = 10
    seed: int = 0

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN, OUT)

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": site.pattern.density, "BP": site.pattern.density, "WU": 1.0}

    def setup(self, site: Site) -> None:
        self._search(site, 0)

    def advance(self, site: Site, step: int) -> None:
        if step % self.search_every == 0:
            self._search(site, step)

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        ff = super().pregenerate(site)["ff"]
        mask = _permuted_mask(ff, site.held("permutation"), site.pattern)
        return {"ff": ff, "bp": ff.masked_fill(~mask, 0.0)}

    def bp_order(self, site: Site) -> Tensor | None:
        return site.held("permutation")

    def _search(self, site: Site, step: int) -> None:
        ff = super().pregenerate(site)["ff"]
        generator = torch.Generator().manual_seed(self.seed + step)
        tries = [torch.randperm(len(ff), generator=generator) for _ in range(self.candidates)]
        tries = [order.to(ff.device) for order in tries]

        def survivors(order: Tensor) -> int:
            return int((ff.masked_fill(~_permuted_mask(ff, order, site.pattern), 0.0) != 0).sum())

        site.hold("permutation", max(tries, key=survivors))


def _permuted_mask(w: Tensor, order: Tensor, pattern: NMPattern) -> Tensor:
    """N:M mask along outputs, groups formed of outputs in `order`."""
    mask = torch.empty_like(w, dtype=torch.bool)
    mask[order] = pattern.mask(w[order], OUT)
    return mask
