"""The pre-norm transformer block that the vision transformer and the language models share."""

import torch
from torch import Tensor, nn

from sparsat.algo.layers import Product


class Attention(nn.Module):
    """Multi-head self-attention on `[n, t, dim]`; `causal` hides later positions.

    The two products QKᵀ and A·V are `Product`s, so that counters, exporters and the accelerator's
    numerics see them as the GEMMs they are.
    """

    def __init__(self, dim: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(dim, 3 * dim)
        self.scores, self.mix = Product(), Product()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, dim = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        scores = self.scores(q * (dim // self.heads) ** -0.5, k.transpose(-1, -2))
        if self.causal:
            hidden = torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(hidden, float("-inf"))
        mixed = self.mix(scores.softmax(-1), v)
        return self.proj(mixed.transpose(1, 2).reshape(n, t, dim))


class Block(nn.Module):
    """Pre-norm attention and MLP, each added to its input, on `[n, t, dim]`."""

    def __init__(self, dim: int, heads: int, hidden: int, *, causal: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, causal=causal)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
