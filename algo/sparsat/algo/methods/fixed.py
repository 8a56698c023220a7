"""Masks that are chosen once and stay: imported ones, one-shot magnitude pruning, and ASP."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..sites import Site
from .base import IN, Method


@dataclass(frozen=True)
class FrozenMask(Method):
    """Pruned weights are zero and stay zero: gradients are masked before the optimizer's step,
    weights after it. Without a mask a layer is dense.

    A checkpoint that is zero wherever the mask prunes, as those of the same run are, keeps the
    mask. For any other it is chosen again, or dropped where that takes `Handle.calibrate`.
    """

    state_keys: ClassVar[tuple[str, ...]] = ("mask",)

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,)

    def stages(self, site: Site) -> dict[str, float]:
        pruned = site.get("mask") is not None
        return {"FF": site.pattern.density if pruned else 1.0, "BP": 1.0, "WU": 1.0}

    def renew(self, site: Site) -> None:
        mask = site.get("mask")
        if mask is not None and bool((site.weight[~mask] != 0).any()):
            site.drop("mask")
            self.setup(site)

    def freeze(self, site: Site, mask: Tensor) -> None:
        """Prune a layer by `mask` from now on."""
        site.hold("mask", mask)
        self.advance(site, 0)

    def mask(self, site: Site) -> Tensor:
        mask = site.get("mask")
        return super().mask(site) if mask is None else mask

    def final(self, site: Site) -> Tensor:
        return site.weight.detach().masked_fill(~self.mask(site), 0.0)

    def breach(self, site: Site) -> str | None:
        how = "calibrate" if self.calibrated else "import_masks"
        return f"has no mask yet: call {how}()" if site.get("mask") is None else None

    def adjust_grad(self, site: Site, grad: Tensor, scale: float | Tensor) -> None:
        grad.masked_fill_(~self.mask(site), 0.0)

    def advance(self, site: Site, step: int) -> None:
        site.weight.masked_fill_(~self.mask(site), 0.0)


@dataclass(frozen=True)
class Fixed(FrozenMask):
    """Training under imported masks, which also prune every checkpoint that is loaded."""

    name: ClassVar[str] = "fixed"

    def set_mask(self, site: Site, mask: Tensor) -> bool:
        self.freeze(site, mask)
        return True

    def renew(self, site: Site) -> None:
        self.advance(site, 0)


@dataclass(frozen=True)
class Magnitude(FrozenMask):
    """One-shot magnitude pruning along inputs, when prepared (Han et al. 2015, "Learning both
    weights and connections for efficient neural networks", in N:M groups)."""

    name: ClassVar[str] = "magnitude"

    def setup(self, site: Site) -> None:
        self.freeze(site, site.pattern.mask(site.weight, IN))


@dataclass(frozen=True)
class ASP(Magnitude):
    """Dense training, one magnitude mask, the same training again under it (Mishra et al. 2021,
    "Accelerating sparse deep neural networks"); prepare the densely trained model.

    This class does the mask and what follows; that both trainings have one schedule is up to the
    caller. The optional channel permutation search of that recipe is left out.
    """

    name: ClassVar[str] = "asp"
