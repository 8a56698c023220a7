"""Masks that are chosen once and stay: the base of one-shot pruning, and ASP."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..patterns import NMPattern
from ..sites import Site
from .base import IN, Method


@dataclass(frozen=True)
class Fixed(Method):
    """Pruned weights are zero and stay zero: gradients are masked before the optimizer's step,
    weights after it. Until there is a mask the layer is dense."""

    name: ClassVar[str] = "fixed"

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,)

    def stages(self, pattern: NMPattern) -> dict[str, float]:
        return {"FF": pattern.density, "BP": 1.0, "WU": 1.0}

    def mask(self, site: Site) -> Tensor:
        mask = site.get("mask")
        return super().mask(site) if mask is None else mask

    def final(self, site: Site) -> Tensor:
        return site.weight.detach().masked_fill(~self.mask(site), 0.0)

    def set_mask(self, site: Site, mask: Tensor) -> bool:
        site.hold("mask", mask)
        self.advance(site, 0)
        return True

    def adjust_grad(self, site: Site, grad: Tensor, scale: float | Tensor) -> None:
        grad.masked_fill_(~self.mask(site), 0.0)

    def advance(self, site: Site, step: int) -> None:
        site.weight.masked_fill_(~self.mask(site), 0.0)


@dataclass(frozen=True)
class Magnitude(Fixed):
    """One-shot magnitude pruning along inputs, when prepared."""

    name: ClassVar[str] = "magnitude"

    def setup(self, site: Site) -> None:
        self.set_mask(site, site.pattern.mask(site.weight, IN))


@dataclass(frozen=True)
class ASP(Magnitude):
    """Dense training, one magnitude mask, the same training again under it (Mishra et al. 2021,
    "Accelerating sparse deep neural networks"); prepare the densely trained model.

    The optional channel permutation search of that recipe is left out.
    """

    name: ClassVar[str] = "asp"
