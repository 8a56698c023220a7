"""SDWP: the weight pruned N:M in BP only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..sites import Site
from .base import OUT, Method


@dataclass(frozen=True)
class SDWP(Method):
    """Backward weight pruning; FF, WU and inference are dense.

    Known to us by name only, from comparisons in the BDWP literature: all of it is our reading.
    """

    name: ClassVar[str] = "sdwp"

    @property
    def axes(self) -> tuple[int, ...]:
        return (OUT,)

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": 1.0, "BP": site.pattern.density, "WU": 1.0}

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        return {"bp": site.pattern.prune(site.weight, OUT)}
