"""The GEMMs with the accelerator's numbers: fp16 operands, fp32 sums in ascending k.

FF counts k as (kh, kw, ci), BP as (kh, kw, co) with kh, kw the weight's own, WU as (n, h, w).
Zeros of `wf` and `wb` are skipped as pruned (a kept zero could only matter beside an infinity).
Results are float32, cast back to the input's dtype; a bias is added afterwards. Padding multiplies
+0; the zeros that a strided BP would insert are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .gemms import ConvGemms, LinearGemms, PlainLayer, as_matrix, from_matrix, three_gemms
from .golden import gemm, to_operand


def sat_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    forward_mask: Tensor | None = None,
    backward_mask: Tensor | None = None,
) -> Tensor:
    """`F.linear` whose FF, BP and WU run in the accelerator's numerics, differentiable.

    The masks, bool and shaped as `weight` [out, in], say what FF and BP read of it (all of it, and
    FF's, where absent); dw reaches every entry.
    """
    wf, wb = _masked(weight, forward_mask), _masked(weight, backward_mask)
    return three_gemms(x, weight, bias, wf, wb, PlainLayer(SatLinearGemms()))


def sat_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    forward_mask: Tensor | None = None,
    backward_mask: Tensor | None = None,
) -> Tensor:
    """`F.conv2d` as `sat_linear` is `F.linear`; `weight` is [co, ci, kh, kw]."""
    wf, wb = _masked(weight, forward_mask), _masked(weight, backward_mask)
    return three_gemms(x, weight, bias, wf, wb, PlainLayer(SatConvGemms(stride, padding, dilation)))


def sat_product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` for a [..., P, K] and b [..., K, Q] in the accelerator's numerics, differentiable.

    K ascends in the forward product and P, Q in the backward ones; leading axes must be equal.
    """
    return _SatProduct.apply(a, b)


class _SatProduct(torch.autograd.Function):
    """dA = dY·Bᵀ and dB = Aᵀ·dY, each a golden GEMM per leading index."""

    @staticmethod
    @torch.compiler.disable
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _products(a, b)

    @staticmethod
    @torch.compiler.disable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (dy,) = grads
        a, b = ctx.saved_tensors
        da, db = _products(dy, b.transpose(-2, -1)), _products(a.transpose(-2, -1), dy)
        return da.to(a.dtype), db.to(b.dtype)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Golden a · b per leading index, in a's dtype."""
    pairs = zip(a.flatten(0, -3), b.flatten(0, -3), strict=True)
    parts = torch.stack([_product(x, y) for x, y in pairs])
    return parts.reshape(*a.shape[:-2], *parts.shape[1:]).to(a.dtype)


def _masked(weight: Tensor, mask: Tensor | None) -> Tensor | None:
    return None if mask is None else weight.detach().masked_fill(~mask, 0.0)


def _product(a: Tensor, b: Tensor, sparse: bool = False) -> Tensor:
    """Golden a [P, K] · b [K, Q] of any float tensors, rounded to fp16 first; runs on the CPU."""
    left, right = to_operand(a).cpu(), to_operand(b).cpu()
    return gemm(left, right, mask=right != 0 if sparse else None).to(a.device)


@dataclass(frozen=True)
class SatLinearGemms(LinearGemms):
    """`LinearGemms` in the accelerator's numerics."""

    @torch.compiler.disable
    def ff(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        y = _product(self.columns(x, w), w.t(), sparse=True)
        y = y if bias is None else y + bias
        return y.reshape(*x.shape[:-1], -1).to(x.dtype)

    @torch.compiler.disable
    def bp(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor:
        dx = _product(dy.reshape(-1, dy.shape[-1]), w, sparse=True)
        return dx.reshape(x.shape).to(x.dtype)

    @torch.compiler.disable
    def wu(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return _product(self.columns(x, w).t(), dy.reshape(-1, dy.shape[-1])).t()


@dataclass(frozen=True)
class SatConvGemms(ConvGemms):
    """`ConvGemms` in the accelerator's numerics."""

    @torch.compiler.disable
    def ff(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        y = _product(self.columns(x, w), as_matrix(w).t(), sparse=True)
        y = y if bias is None else y + bias
        height, width = self._output_size(x, w)
        y = y.reshape(x.shape[0], height, width, -1).movedim(-1, 1)
        return y.to(x.dtype).contiguous()

    @torch.compiler.disable
    def bp(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor:
        """One gather and GEMM per phase of the stride; taps that fall between are skipped."""
        dx, dy, w = torch.zeros_like(x, device="cpu"), dy.cpu(), w.cpu()
        for rows, row_taps in self._phases(0, x.shape[2], w.shape[2]):
            for cols, col_taps in self._phases(1, x.shape[3], w.shape[3]):
                if row_taps and col_taps:
                    part = self._phase(dy, w, (rows, cols), (row_taps, col_taps))
                    dx[:, :, rows[:, None], cols] = part.to(x.dtype)
        return dx.to(x.device)

    @torch.compiler.disable
    def wu(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        matrix = _product(self.columns(x, w).t(), dy.movedim(1, -1).flatten(0, -2))
        return from_matrix(matrix.t(), w.shape)

    def _output_size(self, x: Tensor, w: Tensor) -> tuple[int, int]:
        reach = [self.dilation[i] * (w.shape[2 + i] - 1) + 1 for i in (0, 1)]
        height, width = (
            (x.shape[2 + i] + 2 * self.padding[i] - reach[i]) // self.stride[i] + 1 for i in (0, 1)
        )
        return height, width

    def _phases(self, axis: int, length: int, taps: int) -> Iterator[tuple[Tensor, list[int]]]:
        """Input positions of one axis by stride phase, with the taps that meet an output there."""
        stride, padding = self.stride[axis], self.padding[axis]
        for phase in range(min(stride, length)):
            reach = range(taps)
            met = [k for k in reach if (phase + padding - k * self.dilation[axis]) % stride == 0]
            yield torch.arange(phase, length, stride), met

    def _phase(
        self,
        dy: Tensor,
        w: Tensor,
        positions: tuple[Tensor, Tensor],
        taps: tuple[list[int], list[int]],
    ) -> Tensor:
        """dx [n, ci, rows, cols] at `positions`, reduced over (kh, kw, co) of `taps`."""
        rows, row_ok = self._sources(0, positions[0], taps[0], dy.shape[2])
        cols, col_ok = self._sources(1, positions[1], taps[1], dy.shape[3])
        # [n, co, rows, kh, cols, kw], +0 where the source lies outside dy
        patches = dy[:, :, rows[:, :, None, None], cols]
        patches = patches.masked_fill(~(row_ok[:, :, None, None] & col_ok), 0.0)
        left = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(0, 2)
        right = w[:, :, taps[0]][..., taps[1]].permute(2, 3, 0, 1).flatten(0, 2)
        out = _product(left, right, sparse=True)
        return out.reshape(len(dy), len(rows), len(cols), -1).movedim(-1, 1)

    def _sources(
        self, axis: int, positions: Tensor, taps: list[int], length: int
    ) -> tuple[Tensor, Tensor]:
        """Index into dy per (position, tap), clamped, and whether it lies inside."""
        reach = torch.tensor(taps) * self.dilation[axis]
        source = (positions[:, None] + self.padding[axis] - reach) // self.stride[axis]
        return source.clamp(0, length - 1), (source >= 0) & (source < length)
