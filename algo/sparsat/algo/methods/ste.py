"""Straight-through training and its regularised form: N:M weights in FF, dense gradients."""

from dataclasses import dataclass
from typing import ClassVar

from .base import ForwardPruning


@dataclass(frozen=True)
class STE(ForwardPruning):
    """FF and BP read the forward-pruned weight; dw reaches every entry (Bengio et al. 2013,
    "Estimating or propagating gradients through stochastic neurons for conditional computation";
    for N:M masks the baseline of Zhou et al. 2021).

    BP's operand has zeros but no N:M groups along its own reduction, so BP gains nothing.
    """

    name: ClassVar[str] = "ste"


@dataclass(frozen=True)
class SRSTE(ForwardPruning):
    """STE with the decay of pruned entries (Zhou et al. 2021; their default λ)."""

    name: ClassVar[str] = "sr-ste"
    decay: float = 2e-4
