"""What a pruning method answers: the operands of a layer's GEMMs and what changes between steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ..patterns import NMPattern

if TYPE_CHECKING:
    from ..sites import Site

IN, OUT = 1, 0  # axes of a weight [out, in, ...]
STAGES = ("FF", "BP", "WU")


@dataclass(frozen=True)
class Method:
    """Base of all methods, by itself dense training. Fields of subclasses are its options.

    A method keeps nothing itself: per layer state lives in the `Site`. Called in this order:
    `setup` once, then per optimizer step `adjust_grad` before it and `advance` after it; `renew`
    where a checkpoint was loaded. `pregenerate` follows each of them but `adjust_grad`.
    """

    name: ClassVar[str] = "dense"
    calibrated: ClassVar[bool] = False  # does it wait for `Handle.calibrate`?
    adds_parameters: ClassVar[bool] = False  # does it train logits or the like?
    state_keys: ClassVar[tuple[str, ...]] = ()  # what a site may hold, pre-generated tensors aside

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of the weight whose length must be a multiple of m."""
        return ()

    @property
    def grouped(self) -> tuple[int, ...]:
        """Axes along which the operands are N:M: IN for FF's, OUT (as `bp_order` says) for BP's."""
        return self.axes

    def check(self, pattern: NMPattern) -> None:
        """Raise `ValueError` where the method cannot do `pattern`."""

    def stages(self, site: Site) -> dict[str, float]:
        """Share of the dense MACs that an N:M machine does in each stage of a training step."""
        return dict.fromkeys(STAGES, 1.0)

    def setup(self, site: Site) -> None:
        """Make the state of a layer."""

    def renew(self, site: Site) -> None:
        """Make anew the state that comes from the weight: a checkpoint was loaded over it."""
        self.setup(site)

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        """What one step's GEMMs share, a function of the weight and the state.

        "ff" and "bp" are operands: "ff" absent stands for the weight itself, "bp" absent for "ff".
        """
        return {}

    def operands(self, site: Site, training: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(what dw flows to, FF's weight, BP's weight), None as in `pregenerate`."""
        return site.weight, site.get("ff"), site.get("bp")

    def bp_rule(self, site: Site, dy: Tensor) -> Tensor:
        """The dy that BP sees."""
        return dy

    def wu_rule(self, site: Site, dy: Tensor) -> Tensor:
        """The dy that WU sees."""
        return dy

    def adjust_grad(self, site: Site, grad: Tensor, scale: float | Tensor) -> None:
        """Change `grad`, the gradient × `scale`, in place just before the optimizer reads it."""

    def advance(self, site: Site, step: int) -> None:
        """Change a layer's state after optimizer step number `step` (from 1)."""

    def advance_all(self, sites: Sequence[Site], step: int) -> None:
        for site in sites:
            self.advance(site, step)

    def calibrate(self, site: Site, inputs: Iterable[Tensor]) -> None:
        """Prune a layer from its `inputs`, each as the layer receives it."""

    def mask(self, site: Site) -> Tensor:
        """Bool, shaped as the weight: what `final` keeps."""
        return torch.ones_like(site.weight, dtype=torch.bool)

    def read(self, site: Site) -> tuple[Tensor, Tensor]:
        """The weights that FF and BP read in evaluation."""
        weight, ff, bp = self.operands(site, training=False)
        ff = weight.detach() if ff is None else ff
        return ff, ff if bp is None else bp

    def final(self, site: Site) -> Tensor:
        """The weight that `Handle.finalize` leaves."""
        return self.read(site)[0]

    def bp_order(self, site: Site) -> Tensor | None:
        """The order of outputs in which BP's groups run; None where it is their own."""
        return None

    def breach(self, site: Site) -> str | None:
        """What else than N:M groups a layer owes and does not keep."""
        return None

    def set_mask(self, site: Site, mask: Tensor) -> bool:
        """Take an imported mask; False where the method has no use for one."""
        return False

    def parameters(self, site: Site) -> list[Any]:
        """Parameters the method adds; the model's own are frozen beside them."""
        return []

    def penalty(self, site: Site, step: int) -> Tensor | float:
        """Term of the loss."""
        return 0.0


@dataclass(frozen=True)
class ForwardPruning(Method):
    """FF reads the weight pruned N:M along its inputs; `decay` is the SR-STE term's λ.

    The term λ·(1-mask)⊙w pulls pruned entries to zero (Zhou et al. 2021, "Learning N:M fine-grained
    structured sparse neural networks from scratch").
    """

    decay: float = 0.0

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,)

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": site.pattern.density, "BP": 1.0, "WU": 1.0}

    def mask(self, site: Site) -> Tensor:
        return site.pattern.mask(site.weight, IN)

    def pregenerate(self, site: Site) -> Mapping[str, Tensor]:
        return {"ff": torch.where(self.mask(site), site.weight, 0.0)}

    def adjust_grad(self, site: Site, grad: Tensor, scale: float | Tensor) -> None:
        if self.decay:
            grad.add_(site.weight - site.held("ff"), alpha=self.decay * float(scale))
