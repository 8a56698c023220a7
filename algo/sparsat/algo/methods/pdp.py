"""PDP: differentiable pruning by a soft mask with no trainable parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..sites import Site
from .base import IN, Method

GRANULARITIES = ("nm", "unstructured", "channel")


@dataclass(frozen=True)
class PDP(Method):
    """PDP (Cho et al. 2023, "PDP: parameter-free differentiable pruning is all you need").

    Training uses m ⊙ w, m = σ((w² - t²)/τ), t halfway between the smallest magnitude to keep and
    the largest to prune, a constant recomputed every step. The first `dense_fraction` of
    `total_steps` is dense; over the next `ramp_fraction` the pruned share rises to the target.
    Training is dense arithmetic; evaluation and `final` use the hard mask, m ≥ ½.

    `granularity`: "nm" (t per group along inputs; the kept count falls from m to n_keep),
    "unstructured" (t per layer, budgets from one magnitude sort over all layers when the ramp
    starts), "channel" (whole outputs, by root mean square). `tau`: a number, or "auto" for
    `auto_scale` times the layer's mean w². t as a constant, the ramp's shape and all of "nm" and
    "channel" beyond their existence are our reading.
    """

    name: ClassVar[str] = "pdp"
    granularity: str = "nm"
    tau: float | str = 1e-4
    auto_scale: float = 0.1
    dense_fraction: float = 0.15
    ramp_fraction: float = 0.5
    total_steps: int | None = None

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            allowed = ", ".join(GRANULARITIES)
            raise ValueError(f"granularity is {self.granularity!r}; allowed: {allowed}")
        if self.tau != "auto" and (isinstance(self.tau, str) or self.tau <= 0):
            raise ValueError(f'tau is {self.tau!r}; allowed: "auto" or a number above 0')
        if not self.total_steps or self.total_steps < 1:
            raise ValueError(f"total_steps is {self.total_steps}; pdp needs the run's length, ≥ 1")

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,) if self.granularity == "nm" else ()

    def setup(self, site: Site) -> None:
        site.hold("budget", torch.tensor(1.0 - site.pattern.density))
        site.hold("threshold", torch.zeros_like(self._scores(site)[0].amax(-1, keepdim=True)))

    def setup_all(self, sites: Sequence[Site]) -> None:
        super().setup_all(sites)
        self.advance_all(sites, 0)

    def advance_all(self, sites: Sequence[Site], step: int) -> None:
        if self.granularity == "unstructured" and self._ramp(step - 1) <= 0 < self._ramp(step):
            _share_budget(sites)
        super().advance_all(sites, step)

    def advance(self, site: Site, step: int) -> None:
        scores, group = self._scores(site)
        pruned = self._ramp(step) * float(site.held("budget")) * group
        site.hold("threshold", _halfway(scores, min(round(pruned), group - 1)))

    def operands(self, site: Site) -> tuple[Tensor, Tensor | None, Tensor | None]:
        w = site.weight
        if site.module.training:
            return w * self._soft_mask(site), None, None
        return w.masked_fill(~self.mask(site), 0.0), None, None

    def mask(self, site: Site) -> Tensor:
        scores, _ = self._scores(site)
        return self._spread(scores.detach() >= site.held("threshold"), site)

    def final(self, site: Site) -> Tensor:
        if self.granularity == "nm":  # exactly N of M, also where magnitudes tie
            return site.pattern.prune(site.weight.detach(), IN)
        return site.weight.detach().masked_fill(~self.mask(site), 0.0)

    def _ramp(self, step: int) -> float:
        """Share of the target that is pruned after `step` steps."""
        assert self.total_steps is not None
        start, length = self.dense_fraction * self.total_steps, self.ramp_fraction
        return min(max((step - start) / max(length * self.total_steps, 1.0), 0.0), 1.0)

    def _soft_mask(self, site: Site) -> Tensor:
        scores, _ = self._scores(site)
        threshold = site.held("threshold")
        soft = torch.sigmoid((scores.square() - threshold.square()) / self._tau(site))
        return self._spread(torch.where(threshold > 0, soft, 1.0), site)

    def _tau(self, site: Site) -> float | Tensor:
        if isinstance(self.tau, str):
            return self.auto_scale * site.weight.detach().square().mean().clamp_min(1e-30)
        return self.tau

    def _scores(self, site: Site) -> tuple[Tensor, int]:
        """What competes, along the last axis, and how many do."""
        w = site.weight
        if self.granularity == "nm":
            return w.movedim(IN, -1).unflatten(-1, (-1, site.pattern.m)).abs(), site.pattern.m
        if self.granularity == "channel":
            return w.flatten(1).square().mean(1).sqrt(), len(w)
        return w.flatten().abs(), w.numel()

    def _spread(self, mask: Tensor, site: Site) -> Tensor:
        """A mask over `_scores` as one over the weight."""
        shape = site.weight.shape
        if self.granularity == "nm":
            return mask.flatten(-2).movedim(-1, IN)
        if self.granularity == "channel":
            return mask.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        return mask.reshape(shape)


def _halfway(scores: Tensor, pruned: int) -> Tensor:
    """Midpoint of the `pruned`-th and the next smallest score along the last axis; 0 for none."""
    scores = scores.detach()
    if pruned == 0:
        return torch.zeros_like(scores.amax(-1, keepdim=True))
    low, high = (scores.kthvalue(pruned + i, dim=-1, keepdim=True).values for i in (0, 1))
    return (low + high) / 2


def _share_budget(sites: Sequence[Site]) -> None:
    """Set each layer's pruned share to what one sort of all magnitudes would prune there."""
    everything = torch.cat([site.weight.flatten().abs() for site in sites])
    target = sum(float(site.held("budget")) * site.weight.numel() for site in sites)
    cut = everything.kthvalue(max(round(target), 1)).values
    for site in sites:
        site.hold("budget", (site.weight.abs() <= cut).float().mean())
