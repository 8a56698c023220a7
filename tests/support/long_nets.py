"""Transformers whose attention is long for the scratchpads of a card, as users would write them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Encoder(nn.Sequential):
    """Blocks of PyTorch's own attention and a linear layer each way."""

    def __init__(self, blocks: int, width: int = 768, heads: int = 12) -> None:
        layers = [
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(blocks)
        ]
        super().__init__(*layers)


class ViT(nn.Module):
    """ViT-B/16 at 224 × 224: 197 tokens."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, 16, stride=16)
        self.token = nn.Parameter(torch.zeros(1, 1, 768))
        self.place = nn.Parameter(torch.zeros(1, 197, 768))
        self.encoder, self.norm = Encoder(blocks), nn.LayerNorm(768)
        self.head = nn.Linear(768, 1000)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.norm(self.encoder(x))[:, 0])


class Bert(nn.Module):
    """BERT-base's encoder on tokens [n, 512], with its pooler."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.table = nn.Embedding(30522, 768)
        self.place = nn.Parameter(torch.zeros(1, 512, 768))
        self.encoder, self.pooler = Encoder(blocks), nn.Linear(768, 768)
        self.head = nn.Linear(768, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.encoder(self.table(tokens) + self.place)
        return self.head(self.pooler(x[:, 0]).tanh())


class GptBlock(nn.Module):
    """Causal attention by the fused function, its three inputs from one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(768), nn.LayerNorm(768)
        self.qkv, self.proj = nn.Linear(768, 3 * 768), nn.Linear(768, 768)
        self.up, self.down = nn.Linear(768, 3072), nn.Linear(3072, 768)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (part.unflatten(2, (12, 64)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """GPT-2 on tokens [n, 1024]; its head is the table of words."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.table = nn.Embedding(50257, 768)
        self.place = nn.Parameter(torch.zeros(1, 1024, 768))
        self.blocks = nn.Sequential(*(GptBlock() for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(768), nn.Linear(768, 50257, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.table(tokens) + self.place)))


def vit(blocks: int = 12) -> tuple[nn.Module, Tensor]:
    return ViT(blocks), torch.empty(1, 3, 224, 224)


def bert(blocks: int = 12) -> tuple[nn.Module, Tensor]:
    return Bert(blocks), torch.zeros(1, 512, dtype=torch.long)


def gpt(blocks: int = 12) -> tuple[nn.Module, Tensor]:
    return Gpt(blocks), torch.zeros(1, 1024, dtype=torch.long)
