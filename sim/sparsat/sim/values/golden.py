"""What an operation computes, by the golden model alone: no tiling, no layout, no program."""

import torch
from torch import Tensor

from sparsat.algo.golden import gemm
from sparsat.algo.sat import SatConvGemms
from sparsat.dataflow.ir import Conv, MatMul


def conv_result(work: Conv, stage: str, a: Tensor, b: Tensor) -> Tensor:
    """FF (x, w) to y, BP (dy, w) to dx, WU (dy, x) to dw; fp16 in NCHW.

    Weights are [co, ci / groups, kh, kw].
    `work` is not transposed. Results are fp16, of WU float32.
    """
    parts = [
        _group_result(work, stage, *operands)
        for operands in zip(
            _groups(work, stage, a), _groups(work, stage, b, second=True), strict=True
        )
    ]
    return torch.cat(parts, 0 if stage == "WU" else 1)


def _groups(work: Conv, stage: str, x: Tensor, *, second: bool = False) -> list[Tensor]:
    """The operand of each group: weights are cut along co, activations along channels."""
    along = 0 if second and stage != "WU" else 1
    return list(x.chunk(work.groups, along))


def _group_result(work: Conv, stage: str, a: Tensor, b: Tensor) -> Tensor:
    gemms = SatConvGemms(work.stride, work.padding, work.dilation)
    if stage == "FF":
        return gemms.ff(a, b, None)
    ci = work.ci // work.groups
    if stage == "BP":
        return gemms.bp(a, b, a.new_zeros(work.n, ci, work.h, work.w))
    weight = a.new_zeros(work.co // work.groups, ci, work.kh, work.kw)
    return gemms.wu(a, b, weight)


def matmul_result(work: MatMul, a: Tensor, b: Tensor) -> Tensor:
    """fp16 [batch, p, q] of fp16 a [batch, p, k] and b [batch, k, q]."""
    parts = [gemm(x.contiguous(), y.contiguous()) for x, y in zip(a, b, strict=True)]
    return torch.stack(parts).half()
