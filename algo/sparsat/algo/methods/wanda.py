"""Wanda: one-shot pruning by |w| times the norm of the input it meets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..gemms import as_matrix, from_matrix
from ..sites import Site
from .base import IN
from .fixed import FrozenMask


@dataclass(frozen=True)
class Wanda(FrozenMask):
    """Wanda (Sun et al. 2024, "A simple and effective pruning approach for LLMs", §3).

    Kept weights are unchanged. For a convolution the input is its patch, which is our reading.
    """

    name: ClassVar[str] = "wanda"
    calibrated: ClassVar[bool] = True

    def calibrate(self, site: Site, inputs: Iterable[Tensor]) -> None:
        self.freeze(site, wanda_mask(site, inputs))


def wanda_mask(site: Site, inputs: Iterable[Tensor]) -> Tensor:
    """N:M mask of |w|·‖x‖, the norm over all positions of `inputs`."""
    w = site.weight.detach()
    squares = torch.zeros(as_matrix(w).shape[1], dtype=torch.float64, device=w.device)
    for x in inputs:
        squares += site.gemms.columns(x, w).double().square().sum(0)
    scores = from_matrix(as_matrix(w).abs().double() * squares.sqrt(), w.shape)
    return site.pattern.mask(scores, IN)
