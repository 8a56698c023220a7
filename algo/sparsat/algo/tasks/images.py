"""What the image-classification data sets share: models, recipes, augmentation, normalisation."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo import models
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task, accuracy, generator

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Channel mean and standard deviation of natural images in 0…1 (the ImageNet values)."""


def normalize(images: Tensor) -> Tensor:
    """uint8 `[n, 3, h, w]` to float32 of mean about 0 and deviation about 1."""
    mean, spread = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, SPREAD))
    return (images / 255 - mean) / spread


def jitter(images: Tensor, pad: int, rng: torch.Generator) -> Tensor:
    """Shift each image of `[n, c, h, w]` by up to `pad` pixels and mirror half of them."""
    n, _, height, width = images.shape
    padded = F.pad(images, (pad,) * 4)
    top, left = torch.randint(2 * pad + 1, (2, n, 1, 1), generator=rng)
    columns = torch.arange(width).expand(n, 1, width)
    mirrored = torch.rand(n, 1, 1, generator=rng) < 0.5
    columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = top + torch.arange(height).view(1, height, 1)
    return padded[torch.arange(n).view(n, 1, 1), :, rows, left + columns].movedim(-1, 1)


class ImageTask(Task):
    """Images in memory as uint8 `[n, 3, h, w]` with labels `[n]`; subclasses load them.

    `model_name` is any of `models.MODELS`; None takes the usual one.
    """

    metric = Metric("accuracy", "%")
    pad: ClassVar[int] = 4
    train: Batch
    test: Batch

    def __init__(self, data: Path, model_name: str | None = None) -> None:
        self.model_name = model_name or self.usual_model
        self.train, self.test = self.load(data)
        steps = max(1, len(self.train[1]) // self.recipe.batch)
        self.recipe = replace(adapted(self.recipe, self.model_name), steps_per_epoch=steps)

    def load(self, data: Path) -> tuple[Batch, Batch]:
        """Training and test set from a directory; raises `DataError`."""
        raise NotImplementedError

    def model(self) -> nn.Module:
        return models.build(self.model_name, self.name)

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = generator(seed, epoch)
        x, y = self.train
        order = torch.randperm(len(x), generator=rng)
        for pick in order.split(self.recipe.batch)[: self.recipe.steps_per_epoch]:
            yield normalize(jitter(x[pick], self.pad, rng)), y[pick]

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        x, y = self.test
        parts = zip(x.split(250), y.split(250), strict=True)
        return {"accuracy": accuracy(model, ((normalize(x), y) for x, y in parts), device)}


def adapted(recipe: Recipe, model: str) -> Recipe:
    """The recipe for `model`: transformers take AdamW, everything else what the task says."""
    if model != "vit":
        return recipe
    return replace(recipe, optimizer="adamw", lr=1e-3, weight_decay=0.05, clip=1.0)
