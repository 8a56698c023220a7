"""The three GEMMs of a linear layer and of a convolution, each with an operand of its own.

    FF  y  = x · wf       reduces over inputs
    BP  dx = dy · wb      reduces over outputs
    WU  dw = xᵀ · dy      reduces over batch and space

Shapes: linear x [..., in], y [..., out], w [out, in]; convolution x [n, ci, h, w],
y [n, co, h', w'], w [co, ci, kh, kw].
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight


class Gemms(Protocol):
    """One layer's three GEMMs and the geometry that methods need."""

    @property
    def channel_dim(self) -> int:
        """Axis of y that counts output channels."""

    def ff(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor: ...
    def bp(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor: ...
    def wu(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor: ...
    def columns(self, x: Tensor, w: Tensor) -> Tensor:
        """FF's left operand [P, K], K counting (kh, kw, ci) for a convolution."""


@dataclass(frozen=True)
class LinearGemms:
    """`y = x wᵀ + bias`."""

    channel_dim: int = -1

    def ff(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, w, bias)

    def bp(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor:
        return dy @ w

    def wu(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return dy.reshape(-1, dy.shape[-1]).t() @ x.reshape(-1, x.shape[-1])

    def columns(self, x: Tensor, w: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1])


@dataclass(frozen=True)
class ConvGemms:
    """A 2-D convolution with zero padding and one group."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    channel_dim: int = 1

    def ff(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, w, bias, self.stride, self.padding, self.dilation)

    def bp(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor:
        return conv2d_input(x.shape, w, dy, self.stride, self.padding, self.dilation)

    def wu(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return conv2d_weight(x, w.shape, dy, self.stride, self.padding, self.dilation)

    def columns(self, x: Tensor, w: Tensor) -> Tensor:
        kernel = (w.shape[2], w.shape[3])
        patches = F.unfold(x, kernel, self.dilation, self.padding, self.stride)  # [n, ci·kh·kw, p]
        taps = patches.unflatten(1, (x.shape[1], -1))  # [n, ci, kh·kw, p]
        return taps.permute(0, 3, 2, 1).reshape(-1, patches.shape[1])


def as_matrix(w: Tensor) -> Tensor:
    """A weight as FF's right operand, transposed: [out, K], K counting (kh, kw, ci)."""
    return w if w.ndim == 2 else w.permute(0, 2, 3, 1).flatten(1)


def from_matrix(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Undo `as_matrix` for a weight of `shape`."""
    if len(shape) == 2:
        return matrix
    out, ci, kh, kw = shape
    return matrix.reshape(out, kh, kw, ci).permute(0, 3, 1, 2)


class Layer(Protocol):
    """What the autograd function asks of a layer."""

    @property
    def gemms(self) -> Gemms: ...

    def bp_rule(self, dy: Tensor) -> Tensor:
        """The dy that BP reads."""

    def wu_rule(self, dy: Tensor) -> Tensor:
        """The dy that WU reads."""


@dataclass(frozen=True)
class PlainLayer:
    """A layer that prunes no gradient."""

    gemms: Gemms

    def bp_rule(self, dy: Tensor) -> Tensor:
        return dy

    def wu_rule(self, dy: Tensor) -> Tensor:
        return dy


class ThreeGemms(torch.autograd.Function):
    """A layer whose FF, BP and WU take different operands; dw goes to `weight` unmasked.

    `wf` None stands for `weight`, `wb` None for `wf`. The bias gradient sums the whole dy.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        wf: Tensor | None,
        wb: Tensor | None,
        layer: Layer,
    ) -> Tensor:
        wf = weight if wf is None else wf
        ctx.save_for_backward(x, wf if wb is None else wb)
        ctx.layer = layer
        ctx.weight_dtype = weight.dtype
        return layer.gemms.ff(x, wf, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = grads
        x, wb = ctx.saved_tensors
        gemms: Gemms = ctx.layer.gemms
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            dx = gemms.bp(ctx.layer.bp_rule(dy), wb, x)
        if ctx.needs_input_grad[1]:
            dw = gemms.wu(ctx.layer.wu_rule(dy), x, wb).to(ctx.weight_dtype)
        if ctx.needs_input_grad[2]:
            db = dy.movedim(gemms.channel_dim, 0).flatten(1).sum(1)
        return dx, dw, db, None, None, None


def three_gemms(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    wf: Tensor | None,
    wb: Tensor | None,
    layer: Layer,
) -> Tensor:
    """`ThreeGemms` in autocast's dtype where autocast is on."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        wf = (weight.detach() if wf is None else wf).to(dtype)
        x, wb = x.to(dtype), None if wb is None else wb.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    return ThreeGemms.apply(x, weight, bias, wf, wb, layer)
