"""SDGP: the output gradient pruned N:M along channels in BP; weights dense."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..sites import Site
from .base import OUT, Method

RULES = ("rescaled", "magnitude", "random")
_EPSILON = 1e-4


@dataclass(frozen=True)
class SDGP(Method):
    """Structured data gradient pruning (McDanel et al. 2022, "Accelerating DNN training with
    structured data gradient pruning").

    BP reads dy pruned N:M along output channels; WU and the bias gradient read the whole dy.
    `rule`: which entries stay: "magnitude", "random", or "rescaled" (magnitude, then each plane of
    a sample and channel scaled so that its sum of magnitudes is kept; the source's default). Its
    scale divides by the sum of what is left plus 1e-4, as the source does. That number does not
    follow a loss scale: gradients far below it shrink instead, so "rescaled" wants one at low
    precision.

    The source treats convolutions. For a linear layer the plane is the axis before the channels:
    the sequence of [n, t, channels], but the batch of an attention that is not `batch_first`. This
    is our reading; an input without such an axis is not scaled.
    """

    name: ClassVar[str] = "sdgp"
    rule: str = "rescaled"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule is {self.rule!r}; allowed: {', '.join(RULES)}")

    @property
    def axes(self) -> tuple[int, ...]:
        return (OUT,)

    @property
    def grouped(self) -> tuple[int, ...]:
        return ()

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": 1.0, "BP": site.pattern.density, "WU": 1.0}

    def bp_rule(self, site: Site, dy: Tensor) -> Tensor:
        channel = site.gemms.channel_dim
        scores = torch.rand_like(dy) if self.rule == "random" else dy
        pruned = dy.masked_fill(~site.pattern.mask(scores, channel), 0.0)
        return _keep_planes(dy, pruned, channel) if self.rule == "rescaled" else pruned


def _keep_planes(dy: Tensor, pruned: Tensor, channel: int) -> Tensor:
    """`pruned` with each (sample, channel) plane scaled to the sum of magnitudes it has in `dy`."""
    plane = (-2, -1) if channel == 1 else (-2,)
    if dy.ndim < 3:
        return pruned
    whole = dy.abs().sum(plane, keepdim=True)
    return pruned * (whole / (pruned.abs().sum(plane, keepdim=True) + _EPSILON))
