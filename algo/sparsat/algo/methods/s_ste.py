"""S-STE: weights pruned continuously, by a soft threshold, with unbiased sparse gradients in WU."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..patterns import NMPattern
from ..sites import Site
from .base import IN, Method
from .mvue import GradientPattern, check_subsets, prune_along_batch


@dataclass(frozen=True)
class SSTE(Method):
    """S-STE (Hu et al. 2024, "Continuous pruning function for efficient 2:4 sparse pre-training").

    FF and BP read β·S(w): kept entries shrink by the largest magnitude that their group drops, so
    no entry jumps when it enters or leaves. β is set once per layer, at the start (and for a
    checkpoint that is loaded); dw passes straight through, without β. WU reads dy pruned by MVUE to
    `gradient` ("1:2", "2:4", ...; "dense" for none). The fp8 rounding of the source is left out;
    other patterns than 2:4 are our reading.
    """

    name: ClassVar[str] = "s-ste"
    state_keys: ClassVar[tuple[str, ...]] = ("scale",)
    gradient: str = "2:4"

    def __post_init__(self) -> None:
        check_subsets(GradientPattern.parse(self.gradient))

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,)

    def stages(self, site: Site) -> dict[str, float]:
        density = GradientPattern.parse(self.gradient).density
        return {"FF": site.pattern.density, "BP": 1.0, "WU": density}

    def setup(self, site: Site) -> None:
        w, soft = site.weight, soft_threshold(site.weight, site.pattern, IN)
        site.hold("scale", (w * soft).sum() / (soft * soft).sum().clamp_min(1e-30))

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        return {"ff": site.held("scale") * soft_threshold(site.weight, site.pattern, IN)}

    def mask(self, site: Site) -> Tensor:
        return site.pattern.mask(site.weight, IN)

    def wu_rule(self, site: Site, dy: Tensor) -> Tensor:
        return prune_along_batch(dy, site.gemms.channel_dim, GradientPattern.parse(self.gradient))


def soft_threshold(w: Tensor, pattern: NMPattern, dim: int) -> Tensor:
    """sign(w)·max(|w| - t, 0), t the largest magnitude its group along `dim` drops (0 if dense)."""
    if pattern.is_dense:
        return w
    groups = w.movedim(dim, -1).unflatten(-1, (-1, pattern.m))
    dropped = pattern.m - pattern.n_keep
    threshold = groups.abs().kthvalue(dropped, dim=-1, keepdim=True).values
    soft = groups.sign() * (groups.abs() - threshold).clamp_min(0.0)
    return soft.flatten(-2).movedim(-1, dim)
