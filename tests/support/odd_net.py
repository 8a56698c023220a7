"""A network that nobody would build: for the tests of capture."""

import torch
from torch import Tensor, nn


class Odd(nn.Module):
    """Tokens [n, 16] to classes [n, 5], by an embedding, two branches and a module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.down = nn.Conv1d(8, 12, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(12, 8, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.twice = nn.Linear(16, 16)
        self.inplace = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)
        self.unused = nn.Linear(2, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens).transpose(1, 2)
        left, right = x[:, :4], x[:, 4:]
        x = torch.cat([right, left], 1)
        y = self.norm(self.up(torch.nn.functional.gelu(self.down(x))))
        for _ in range(2):
            y = y + self.inplace(self.twice(y))
        return self.head(y.mean(-1))


def build() -> tuple[nn.Module, Tensor]:
    return Odd(), torch.zeros(1, 16, dtype=torch.long)


def alone() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def broken() -> nn.Module:
    raise RuntimeError("out of\nideas")


def number() -> int:
    return 7
