"""A small decoder-only language model."""

import torch
from torch import Tensor, nn

from sparsat.algo.models.transformer import Block

EMBEDDING_STD = 0.1
"""Small enough that a few hundred steps can move it; PyTorch's 1.0 stays mostly noise."""


class LanguageModel(nn.Module):
    """Tokens `[n, t]` (int64, t ≤ context) to next-token logits `[n, t, vocabulary]`.

    Learned positions, pre-norm blocks, a final norm; embedding and head are not tied.
    """

    def __init__(
        self, vocabulary: int, *, dim: int, depth: int, heads: int, hidden: int, context: int
    ) -> None:
        super().__init__()
        self.context = context
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(context, dim)
        self.blocks = nn.Sequential(*(Block(dim, heads, hidden, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocabulary)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(place)
        return self.head(self.norm(self.blocks(x)))
