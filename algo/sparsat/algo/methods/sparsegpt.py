"""SparseGPT: one-shot pruning that repairs the kept weights with second-order information."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..gemms import as_matrix, from_matrix
from ..patterns import NMPattern
from ..sites import Site
from .fixed import FrozenMask


@dataclass(frozen=True)
class SparseGPT(FrozenMask):
    """SparseGPT (Frantar and Alistarh 2023, "Massive language models can be accurately pruned in
    one-shot", §3), for convolutions on their patches.

    `damping`: share of the mean diagonal added to the Hessian; `block`: columns updated together.
    """

    name: ClassVar[str] = "sparsegpt"
    calibrated: ClassVar[bool] = True
    damping: float = 0.01
    block: int = 128

    def calibrate(self, site: Site, inputs: Iterable[Tensor]) -> None:
        weight, mask = sparsegpt(site, inputs, self.damping, self.block)
        site.weight.copy_(weight)
        self.freeze(site, mask)


def sparsegpt(
    site: Site, inputs: Iterable[Tensor], damping: float = 0.01, block: int = 128
) -> tuple[Tensor, Tensor]:
    """The repaired weight and its N:M mask, for the layer inputs given."""
    weight = site.weight.detach()
    hessian = _hessian(site, inputs)
    matrix, mask = prune_matrix(as_matrix(weight), hessian, site.pattern, damping, block)
    shape = weight.shape
    return from_matrix(matrix, shape).to(weight.dtype), from_matrix(mask, shape)


def prune_matrix(
    w: Tensor, hessian: Tensor, pattern: NMPattern, damping: float, block: int
) -> tuple[Tensor, Tensor]:
    """Prune w [out, K] along K under `hessian` [K, K]; `block` is a multiple of m."""
    if block % pattern.m:
        raise ValueError(f"block is {block}; allowed: a multiple of m = {pattern.m}")
    w, factor = w.double().clone(), _inverse_factor(hessian, damping)
    dead = hessian.diagonal() == 0
    w[:, dead] = 0.0
    mask = torch.zeros_like(w, dtype=torch.bool)
    depth = w.shape[1]
    for first in range(0, depth, block):
        last = min(first + block, depth)
        errors = torch.zeros_like(w[:, first:last])
        for k in range(first, last):
            if k % pattern.m == 0:
                group = slice(k, k + pattern.m)
                mask[:, group] = pattern.mask(w[:, group] / factor.diagonal()[group], 1)
            kept = w[:, k].masked_fill(~mask[:, k], 0.0)
            error = (w[:, k] - kept) / factor[k, k]
            w[:, k:last] -= error[:, None] * factor[k, k:last]
            w[:, k] = kept
            errors[:, k - first] = error
        w[:, last:] -= errors @ factor[first:last, last:]
    return w, mask


def _hessian(site: Site, inputs: Iterable[Tensor]) -> Tensor:
    """2·XᵀX averaged over positions, [K, K], double."""
    depth = as_matrix(site.weight).shape[1]
    total = torch.zeros(depth, depth, dtype=torch.float64, device=site.weight.device)
    positions = 0
    for x in inputs:
        columns = site.gemms.columns(x, site.weight).double()
        total += columns.t() @ columns
        positions += len(columns)
    return total * (2.0 / max(positions, 1))


def _inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    """Upper Cholesky factor of the damped inverse Hessian; inputs that never fire count as 1."""
    h = hessian.clone()
    diagonal = h.diagonal()
    diagonal[diagonal == 0] = 1.0
    diagonal += damping * diagonal.mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    return torch.linalg.cholesky(inverse, upper=True)
