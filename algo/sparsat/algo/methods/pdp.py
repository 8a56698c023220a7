"""PDP: differentiable pruning by a soft mask with no trainable parameters."""

from collections.abc import Mapping, Sequence
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
    Training is dense arithmetic. Evaluation uses the hard mask, m ≥ ½ (of equal magnitudes the
    first are kept), and `final` prunes the whole target, wherever the ramp stands. Until the ramp
    is done `verify` finds the layers short of it.

    `granularity`: "nm" (t per group along inputs; the kept count falls from m to n_keep),
    "unstructured" (t per layer, budgets from one magnitude sort over all layers when the ramp
    starts), "channel" (whole outputs, by root mean square). `tau`: a number, or "auto" for
    `auto_scale` times the layer's mean w². t as a constant, the ramp's shape and all of "nm" and
    "channel" beyond their existence are our reading. Budgets stay when a checkpoint is loaded.
    """

    name: ClassVar[str] = "pdp"
    state_keys: ClassVar[tuple[str, ...]] = ("budget", "ramp")
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
        fractions = (self.dense_fraction, self.ramp_fraction)
        if min(fractions) < 0 or sum(fractions) > 1 or self.dense_fraction == 1:
            raise ValueError(
                f"dense_fraction and ramp_fraction are {fractions}; "
                "allowed: 0 or more, together at most 1, the first below 1"
            )

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,) if self.granularity == "nm" else ()

    def setup(self, site: Site) -> None:
        site.hold("budget", torch.tensor(1.0 - site.pattern.density))
        site.hold("ramp", torch.tensor(0.0, dtype=torch.float64))

    def renew(self, site: Site) -> None:
        """All that comes from the weight alone is pre-generated."""

    def advance_all(self, sites: Sequence[Site], step: int) -> None:
        if self.granularity == "unstructured" and self._ramp(step - 1) <= 0 < self._ramp(step):
            _share_budget(sites)
        super().advance_all(sites, step)

    def advance(self, site: Site, step: int) -> None:
        site.hold("ramp", torch.tensor(self._ramp(step), dtype=torch.float64))

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        """The hard mask "kept" and the "threshold" t that lies between kept and pruned."""
        magnitudes, kept = self._choose(site, float(site.held("ramp")))
        return {"kept": self._spread(kept, site), "threshold": _halfway(magnitudes, kept)}

    def operands(self, site: Site, training: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        w = site.weight
        if training:
            return w * self._soft_mask(site), None, None
        return w.masked_fill(~self.mask(site), 0.0), None, None

    def mask(self, site: Site) -> Tensor:
        return site.held("kept")

    def final(self, site: Site) -> Tensor:
        kept = self._spread(self._choose(site, 1.0)[1], site)
        return site.weight.detach().masked_fill(~kept, 0.0)

    def breach(self, site: Site) -> str | None:
        ramp = float(site.held("ramp"))
        if ramp < 1:
            return f"is at {ramp:.0%} of the ramp to its target"
        used = self._entries(self.read(site)[0] != 0, site).any(0)
        most, allowed = int(used.sum(-1).max()), self._to_keep(site, used.shape[-1], 1.0)
        return f"FF operand keeps {most}, not {allowed}" if most > allowed else None

    def _ramp(self, step: int) -> float:
        """Share of the target that is pruned after `step` steps."""
        assert self.total_steps is not None
        if step >= self.total_steps:
            return 1.0
        past = step / self.total_steps - self.dense_fraction
        return min(max(past / max(self.ramp_fraction, 1e-9), 0.0), 1.0)

    def _choose(self, site: Site, ramp: float) -> tuple[Tensor, Tensor]:
        """Magnitudes of the competitors, and which of them stay at `ramp`."""
        magnitudes = self._squares(site).detach().sqrt()
        return magnitudes, _largest(magnitudes, self._to_keep(site, magnitudes.shape[-1], ramp))

    def _to_keep(self, site: Site, group: int, ramp: float) -> int:
        """How many of the `group` competitors stay when `ramp` of the target is pruned."""
        return max(group - round(ramp * float(site.held("budget")) * group), 1)

    def _soft_mask(self, site: Site) -> Tensor:
        threshold = site.held("threshold")
        soft = torch.sigmoid((self._squares(site) - threshold.square()) / self._tau(site))
        return self._spread(torch.where(threshold > 0, soft, 1.0), site)

    def _tau(self, site: Site) -> float | Tensor:
        if isinstance(self.tau, str):
            return self.auto_scale * site.weight.detach().square().mean().clamp_min(1e-30)
        return self.tau

    def _squares(self, site: Site) -> Tensor:
        """What competes along the last axis, squared: no root, which has no slope at 0."""
        return self._entries(site.weight.square(), site).mean(0)

    def _entries(self, t: Tensor, site: Site) -> Tensor:
        """`t`, shaped as the weight, as [entries of a competitor, ..., competitors]."""
        if self.granularity == "nm":
            return t.movedim(IN, -1).unflatten(-1, (-1, site.pattern.m))[None]
        return t.flatten(1).t() if self.granularity == "channel" else t.reshape(1, -1)

    def _spread(self, mask: Tensor, site: Site) -> Tensor:
        """A mask over competitors as one over the weight."""
        shape = site.weight.shape
        if self.granularity == "nm":
            return mask.flatten(-2).movedim(-1, IN)
        if self.granularity == "channel":
            return mask.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        return mask.reshape(shape)


def _largest(magnitudes: Tensor, keep: int) -> Tensor:
    """Bool mask of the `keep` largest along the last axis; of equal ones the first."""
    cut = magnitudes.kthvalue(magnitudes.shape[-1] - keep + 1, dim=-1, keepdim=True).values
    above, tied = magnitudes > cut, magnitudes == cut
    return above | (tied & (tied.cumsum(-1) <= keep - above.sum(-1, keepdim=True)))


def _halfway(magnitudes: Tensor, kept: Tensor) -> Tensor:
    """Midpoint of the smallest kept and the largest pruned, along the last axis; 0 for none."""
    low = magnitudes.masked_fill(kept, 0.0).amax(-1, keepdim=True)
    high = magnitudes.masked_fill(~kept, torch.inf).amin(-1, keepdim=True)
    return torch.where(kept.all(-1, keepdim=True), 0.0, (low + high) / 2)


def _share_budget(sites: Sequence[Site]) -> None:
    """Set each layer's pruned share to what one sort of all magnitudes would prune there."""
    everything = torch.cat([site.weight.flatten().abs() for site in sites])
    target = sum(float(site.held("budget")) * site.weight.numel() for site in sites)
    cut = everything.kthvalue(max(round(target), 1)).values
    for site in sites:
        site.hold("budget", (site.weight.abs() <= cut).float().mean())
