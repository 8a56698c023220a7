"""BDWP: the weight pruned N:M twice, along inputs for FF and along outputs for BP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..sites import Site
from .base import IN, OUT, ForwardPruning


@dataclass(frozen=True)
class BDWP(ForwardPruning):
    """Bidirectional weight pruning (Fang et al. 2023, "Efficient N:M sparse DNN training").

    Both masks come from the dense weight, independently, once per optimizer step; WU stays dense.
    Our reading: that both are taken from the dense weight, the decay term and its λ, and which
    layers stay dense (`NMConfig.exclude`).
    """

    name: ClassVar[str] = "bdwp"
    decay: float = 2e-4

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN, OUT)

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": site.pattern.density, "BP": site.pattern.density, "WU": 1.0}

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        return {**super().pregenerate(site), "bp": site.pattern.prune(site.weight, OUT)}
