"""The task: the plain 8×8 digits that ship with scikit-learn, and two networks that learn them."""

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, nn

from sparsat.algo.models.transformer import Block
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task, accuracy, generator

TRAIN = 1257
"""Digits to learn from; the other 540 are for testing."""


class Digits(Task):
    """Images [n, 1, 8, 8] of ten digits; `network` is a name in `NETWORKS`."""

    name = "digits-8x8"
    summary = "the plain digits of scikit-learn"
    metric = Metric("accuracy", "%")

    def __init__(self, network: str, batch: int) -> None:
        if network not in NETWORKS:
            raise ValueError(f"unknown network {network!r}: known are {', '.join(NETWORKS)}")
        if not 1 <= batch <= TRAIN:
            raise ValueError(f"batch is {batch}; it must be from 1 to {TRAIN}, the training digits")
        self.network = network
        self.recipe = Recipe("sgd", 0.05, 5e-4, batch, epochs=1, steps_per_epoch=TRAIN // batch)

    def model(self) -> nn.Module:
        return NETWORKS[self.network]()

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        x, y = _digits()
        order = torch.randperm(TRAIN, generator=generator(seed, epoch))
        size = self.recipe.batch
        for pick in order.split(size)[: self.recipe.steps_per_epoch]:
            yield x[pick], y[pick]

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        x, y = _digits()
        return {"accuracy": accuracy(model, iter([(x[TRAIN:], y[TRAIN:])]), device)}


class Cnn(nn.Sequential):
    """Three convolutions, the second of stride 2 and with a batch norm, and a linear classifier."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 10),
        )


class Transformer(nn.Module):
    """Patches of 2×2, one block of attention and MLP, and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 32, 2, 2)
        self.position = nn.Parameter(0.02 * torch.randn(1, 16, 32))
        self.block = Block(32, 2, 64, causal=False)
        self.head = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.block(x).flatten(1))


NETWORKS = {"cnn": Cnn, "transformer": Transformer}


@cache
def _digits() -> Batch:
    """All images, about -1 to 1, and labels, shuffled once."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(2309))
    x = torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 8 - 1
    return x[order], torch.from_numpy(labels).long()[order]
