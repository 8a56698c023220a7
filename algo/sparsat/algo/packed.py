"""Weights in the form the array reads: packed along the reduction axis of FF or of BP."""

from dataclasses import dataclass

from torch import Tensor

from .gemms import as_matrix
from .golden import to_operand
from .patterns import NMPattern


@dataclass(frozen=True)
class Packed:
    """A GEMM's right operand: fp16 `values` and uint8 `indices`, both [Q, K/m, n_keep].

    FF: Q counts outputs, K (kh, kw, ci). BP: Q counts inputs, K (kh, kw, co), where the co-th
    output is `order[co]` if there is an `order` [out].
    """

    pattern: NMPattern
    values: Tensor
    indices: Tensor
    order: Tensor | None = None


def pack_ff(wf: Tensor, pattern: NMPattern) -> Packed:
    """Pack a weight [out, in, ...] that is already pruned along inputs."""
    return Packed(pattern, *_pack(wf, pattern))


def pack_bp(wb: Tensor, pattern: NMPattern, order: Tensor | None) -> Packed:
    """Pack a weight [out, in, ...] that is already pruned along outputs taken in `order`."""
    wb = wb if order is None else wb[order]
    return Packed(pattern, *_pack(wb.transpose(0, 1), pattern), order)


def _pack(w: Tensor, pattern: NMPattern) -> tuple[Tensor, Tensor]:
    return pattern.pack(to_operand(as_matrix(w)), 1)
