"""The modules that take a prepared layer's place: same parameters, same calls, three operands.

A layer is swapped by changing its class, so its parameters, hooks and state_dict keys stay, and
swapped back the same way.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gemms import ConvGemms, Gemms, LinearGemms
from .sat import SatConvGemms, SatLinearGemms, sat_product
from .sites import Site


class SparseLinear(nn.Linear):
    """`nn.Linear` through a `Site`."""

    nm: dict[str, Site]

    def forward(self, x: Tensor) -> Tensor:
        return self.nm["weight"](x, self.bias)


class SparseConv2d(nn.Conv2d):
    """`nn.Conv2d` (one group, any padding) through a `Site`."""

    nm: dict[str, Site]

    def forward(self, x: Tensor) -> Tensor:
        extra = _explicit_padding(self)
        if extra is not None:
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x = F.pad(x, extra, mode=mode)
        if x.ndim == 3:
            return self.nm["weight"](x[None], self.bias)[0]
        return self.nm["weight"](x, self.bias)


class Product(nn.Module):
    """The product of two activations, `a [..., p, k] @ b [..., k, q]`.

    Models that spell their attention's products so have them, too, in the accelerator's numerics.
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class SatProduct(Product):
    """`Product` in the accelerator's numerics."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return sat_product(a, b)


class SparseMultiheadAttention(nn.MultiheadAttention):
    """`nn.MultiheadAttention` with its projections through `Site`s.

    Scores and mixing are dense products in the numerics of the projections.
    """

    nm: dict[str, Site]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`; `is_causal` is a hint, `attn_mask` decides."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal is a hint about attn_mask, which is absent")
        batched = query.ndim == 3
        q, k, v = self._project(query, key, value)
        q, k, v = (self._heads(t, batched) for t in (q, k, v))
        site: Site = self.out_proj.nm["weight"]  # type: ignore[index,assignment]
        sat = isinstance(site.gemms, SatLinearGemms)
        bias = _score_bias(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights or sat:
            product = sat_product if sat else torch.matmul
            scores = product(q, k.transpose(-2, -1)) * q.shape[-1] ** -0.5
            weights = torch.softmax(scores if bias is None else scores + bias, -1)
            weights = F.dropout(weights, dropout)
            out = product(weights, v)
        else:
            out = F.scaled_dot_product_attention(q, k, v, bias, dropout)
        out = out.transpose(1, 2).flatten(2)  # [n, targets, embed_dim]
        out = site(self._unbatch(out, batched), self.out_proj.bias)
        if weights is None or not need_weights:
            return out, None
        weights = weights.mean(1) if average_attn_weights else weights
        return out, weights if batched else weights[0]

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        e, bias = self.embed_dim, self.in_proj_bias
        thirds = [slice(i * e, (i + 1) * e) for i in range(3)]
        inputs = (query, key, value)
        if not self._qkv_same_embed_dim:
            names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
            biases = [None if bias is None else bias[rows] for rows in thirds]
            parts = zip(names, inputs, biases, strict=True)
            return [self.nm[name](x, b) for name, x, b in parts]
        site = self.nm["in_proj_weight"]
        if query is key and key is value:
            return list(site(query, bias).chunk(3, -1))
        return [site(x, bias, rows) for x, rows in zip(inputs, thirds, strict=True)]

    def _heads(self, x: Tensor, batched: bool) -> Tensor:
        """[n, heads, length, head_dim] of a projection in the module's layout."""
        if not batched:
            x = x[None]
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _unbatch(self, out: Tensor, batched: bool) -> Tensor:
        if not batched:
            return out[0]
        return out if self.batch_first else out.transpose(0, 1)


SPARSE_CLASS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: SparseLinear,
    nn.Conv2d: SparseConv2d,
    nn.MultiheadAttention: SparseMultiheadAttention,
}
DENSE_CLASS = {sparse: dense for dense, sparse in SPARSE_CLASS.items()}


def swap_all(sites: list[Site]) -> list[nn.Module]:
    """Route every module that `sites` are weights of through them; returns the modules."""
    by_module: dict[nn.Module, list[Site]] = {}
    for site in sites:
        by_module.setdefault(site.module, []).append(site)
    for module, own in by_module.items():
        _swap(module, own)
    return list(by_module)


def _swap(module: nn.Module, sites: list[Site]) -> None:
    """Route `module` through `sites`. An attention's output projection only holds its site."""
    module.nm = {site.attr: site for site in sites}  # type: ignore[assignment]
    module.__class__ = SPARSE_CLASS.get(type(module), type(module))
    # a no-op hook keeps nn.TransformerEncoderLayer off its fused path, which reads raw weights
    module._nm_handles = [  # type: ignore[assignment]
        module.register_forward_pre_hook(_no_change),
        module.register_load_state_dict_post_hook(_renew_after_load),
    ]


def unswap(module: nn.Module) -> None:
    """Undo `swap_all` for one module, weights as they are."""
    for handle in module._nm_handles:  # type: ignore[union-attr]
        handle.remove()
    for site in module.nm.values():  # type: ignore[union-attr,operator]
        site.drop_all()
    del module.nm, module._nm_handles
    module.__class__ = DENSE_CLASS.get(type(module), type(module))


def exchange_products(model: nn.Module, old: type[Product], new: type[Product]) -> None:
    """Make every `old` of `model` a `new`."""
    for module in model.modules():
        if type(module) is old:
            module.__class__ = new


def gemms_of(module: nn.Module, numerics: str) -> Gemms:
    """The three GEMMs of a layer, in torch's arithmetic or the accelerator's."""
    if not isinstance(module, nn.Conv2d):
        return SatLinearGemms() if numerics == "sat" else LinearGemms()
    padding = (0, 0) if _explicit_padding(module) is not None else _pair(module.padding)
    kind = SatConvGemms if numerics == "sat" else ConvGemms
    return kind(_pair(module.stride), padding, _pair(module.dilation))


def _explicit_padding(conv: nn.Conv2d) -> tuple[int, int, int, int] | None:
    """(left, right, top, bottom) to pad before a convolution without padding; None if built in."""
    if conv.padding == "valid":
        return (0, 0, 0, 0)
    if conv.padding == "same":
        height, width = (d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
        return (width // 2, width - width // 2, height // 2, height - height // 2)
    if conv.padding_mode == "zeros":
        return None
    height, width = _pair(conv.padding)
    return (width, width, height, height)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    return int(first), int(second)


def _score_bias(
    attn_mask: Tensor | None, padding_mask: Tensor | None, q: Tensor, k: Tensor
) -> Tensor | None:
    """What is added to attention scores [n, heads, targets, sources]; True in a mask forbids."""
    total = None
    if attn_mask is not None:
        total = _additive(attn_mask, q.dtype)
        if total.ndim == 3:
            total = total.reshape(-1, q.shape[1], *total.shape[1:])
    if padding_mask is not None:
        padding = _additive(padding_mask, q.dtype).reshape(q.shape[0], 1, 1, k.shape[2])
        total = padding if total is None else total + padding
    return total


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, -torch.inf)


def _no_change(module: nn.Module, args: Any) -> None:
    return None


def _renew_after_load(module: nn.Module, incompatible_keys: Any) -> None:
    for site in module.nm.values():  # type: ignore[union-attr,operator]
        site.renew()
