"""Weights in the form the array reads: packed along the reduction axis of FF or of BP."""

from dataclasses import dataclass

from torch import Tensor

from .gemms import as_matrix
from .golden import to_operand
from .patterns import NMPattern


@dataclass(frozen=True)
class Packed:
    """A GEMM's right operand: fp16 `values` and uint8 `indices`, both [Q, K/m, n_keep].

    FF: Q counts outputs, K (kh, kw, ci). BP: Q counts inputs, K (kh, kw, co).
    """

    pattern: NMPattern
    values: Tensor
    indices: Tensor


def pack_ff(wf: Tensor, pattern: NMPattern) -> Packed:
    """Pack a weight [out, in, ...] that is already pruned along inputs."""
    return Packed(pattern, *pattern.pack(to_operand(as_matrix(wf)), 1))


def pack_bp(wb: Tensor, pattern: NMPattern) -> Packed:
    """Pack a weight [out, in, ...] that is already pruned along outputs."""
    return pack_ff(wb.transpose(0, 1), pattern)
