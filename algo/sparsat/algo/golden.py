"""The golden GEMM: bit for bit what the array computes, whatever schedule it follows.

Each output starts from +0, or from C, and takes its products in ascending k:
`acc = round(acc + a*b)`, round to nearest even to binary32, the product exact. A pruned entry is
skipped, not multiplied. NaN comes out as the canonical quiet NaN, infinities propagate, exact
cancellation gives +0, and an accumulator is never -0 or subnormal.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsat.hw.formats import BF16, FP16, FP32, FloatFormat

from ._kernels import LANES, accumulate_exact, accumulate_fused, run_split

DTYPES = {FP16: torch.float16, BF16: torch.bfloat16}


def to_operand(x: Tensor, fmt: FloatFormat = FP16) -> Tensor:
    """`x` rounded to nearest even to the operand format; overflow gives infinity."""
    return flush_subnormals(x.to(DTYPES[fmt]), fmt)


def flush_subnormals(x: Tensor, fmt: FloatFormat) -> Tensor:
    """`x` with subnormals replaced by +0 where the format reads them so."""
    if fmt.subnormals:
        return x
    return x.masked_fill(x.abs() < fmt.smallest_normal, 0.0)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    mask: Tensor | None = None,
    fmt: FloatFormat = FP16,
) -> Tensor:
    """C + A·B in the array's arithmetic, float32 [P, Q].

    Parameters
    ----------
    a: left operand [P, K] in `fmt`'s dtype.
    b: right operand [K, Q] in `fmt`'s dtype.
    c: float32 [P, Q] to start from (a -0 or subnormal is read as +0); +0 where absent.
    mask: bool [K, Q], False where `b` is pruned: such an entry is skipped.
    fmt: operand format, FP16 or BF16.

    Raises `ValueError` for shapes that do not fit and `TypeError` for a wrong dtype.
    """
    depth, columns = b.shape
    if mask is not None and mask.shape != b.shape:
        raise ValueError(f"mask is {tuple(mask.shape)}; allowed: b's shape {tuple(b.shape)}")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}; allowed: torch.bool")
    kept = torch.ones_like(b, dtype=torch.bool) if mask is None else mask
    kept = kept.t().contiguous()
    ks = torch.arange(depth, dtype=torch.int32).expand(columns, depth)[kept]
    return _gemm_columns(a, b.t()[kept], ks, kept.sum(1), depth, c, fmt)


def gemm_packed(
    a: Tensor,
    values: Tensor,
    indices: Tensor,
    m: int,
    c: Tensor | None = None,
    fmt: FloatFormat = FP16,
) -> Tensor:
    """`gemm` with the right operand packed, as `NMPattern.pack(b, dim=0)` gives it.

    `values` (`fmt`'s dtype) and `indices` (uint8, ascending) are [Q, K/m, n_keep].
    """
    if values.shape != indices.shape or values.ndim != 3:
        raise ValueError(
            f"values {tuple(values.shape)} and indices {tuple(indices.shape)}: "
            "allowed: one shape [Q, K/m, n_keep]"
        )
    columns, groups, n_keep = values.shape
    if indices.numel() and int(indices.max()) >= m:
        raise ValueError(f"indices hold {int(indices.max())}; allowed: 0..{m - 1}")
    ks = indices.int() + m * torch.arange(groups, dtype=torch.int32)[:, None]
    counts = torch.full((columns,), groups * n_keep)
    return _gemm_columns(a, values.reshape(-1), ks.reshape(-1), counts, groups * m, c, fmt)


def _gemm_columns(
    a: Tensor,
    values: Tensor,
    ks: Tensor,
    counts: Tensor,
    depth: int,
    c: Tensor | None,
    fmt: FloatFormat,
) -> Tensor:
    """The GEMM of a right operand given by columns: `counts[q]` entries (ascending k, value)."""
    _check(a, values, depth, len(counts), c, fmt)
    start = np.concatenate(([0], np.cumsum(counts.numpy(), dtype=np.int64)))
    acc = _start_from(c, a.shape[0], len(counts))
    kernel = accumulate_exact if fmt.subnormals else accumulate_fused
    left, right = _to_blocks(_floats(a, fmt).t()), _floats(values, fmt)
    arrays = (left.numpy(), start, ks.contiguous().numpy(), right.numpy(), acc.numpy())
    run_split(kernel, len(acc), len(values) * a.shape[0], *arrays)
    out = acc.movedim(1, 2).flatten(0, 1)[: a.shape[0]].contiguous()
    return torch.where(out.isnan(), torch.nan, out)


def _floats(x: Tensor, fmt: FloatFormat) -> Tensor:
    return flush_subnormals(x.detach(), fmt).float().contiguous()


def _to_blocks(x: Tensor) -> Tensor:
    """[depth, rows] as the kernels' [blocks, depth, LANES], rows padded with zeros."""
    padded = F.pad(x, (0, -x.shape[1] % LANES))
    return padded.unflatten(1, (-1, LANES)).transpose(0, 1).contiguous()


def _start_from(c: Tensor | None, rows: int, columns: int) -> Tensor:
    """Accumulators [blocks, Q, LANES]: C without its zeros' signs and its subnormals, or +0."""
    if c is None:
        return torch.zeros(-(-rows // LANES), columns, LANES)
    c = c.detach().masked_fill(c.abs() < FP32.smallest_normal, 0.0)
    return _to_blocks(c.t())


def _check(
    a: Tensor, values: Tensor, depth: int, columns: int, c: Tensor | None, fmt: FloatFormat
) -> None:
    if fmt not in DTYPES:
        raise ValueError(f"fmt is {fmt.name}; allowed: fp16 or bf16")
    for name, tensor in (("a", a), ("b", values)):
        if tensor.dtype != DTYPES[fmt]:
            raise TypeError(f"{name} is {tensor.dtype}; allowed: {DTYPES[fmt]} for {fmt.name}")
    if a.ndim != 2 or a.shape[1] != depth:
        raise ValueError(f"a is {tuple(a.shape)}; allowed: [P, {depth}]")
    if c is not None and c.dtype != torch.float32:
        raise TypeError(f"c is {c.dtype}; allowed: torch.float32")
    if c is not None and c.shape != (a.shape[0], columns):
        raise ValueError(f"c is {tuple(c.shape)}; allowed: {(a.shape[0], columns)}")
