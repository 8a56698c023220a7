"""ImageNet (ILSVRC 2012) from a directory of yours: `train/<class>/*`, `val/<class>/*`.

Images are decoded as they are needed: random resized crops and mirroring in training, the central
224 of a 256-pixel image in tests. Class numbers follow the sorted folder names.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparsat.algo import models
from sparsat.algo.tasks import folders
from sparsat.algo.tasks.base import Batch, DataError, Metric, Recipe, Task, accuracy
from sparsat.algo.tasks.images import adapted, normalize

CLASSES, EDGE, WHOLE = 1000, 224, 256
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
"""Ranges of a training crop's share of the image and of its width : height."""
ATTEMPTS = 10


class ImageNet(Task):
    """ImageNet, ResNet50."""

    name = "imagenet"
    summary = "ImageNet from your directory; ResNet50"
    metric = Metric("accuracy", "%")
    usual_model = "resnet50"
    needs_data = "train/<class>/*.JPEG and val/<class>/*.JPEG"
    recipe = Recipe(
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-5,
        batch=256,
        epochs=90,
        steps_per_epoch=5004,
        warmup=0.05,
        smoothing=0.1,
    )

    def __init__(self, data: Path, model_name: str | None = None) -> None:
        self.model_name = model_name or self.usual_model
        self.train, self.test = (_split(data / part, self.needs_data) for part in ("train", "val"))
        steps = max(1, len(self.train) // self.recipe.batch)
        self.recipe = replace(adapted(self.recipe, self.model_name), steps_per_epoch=steps)

    def model(self) -> nn.Module:
        return models.build(self.model_name, self.name)

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        parts = folders.batches(self.train, self.recipe.batch, random_crop, order=(seed, epoch))
        for _, (x, y) in zip(range(self.recipe.steps_per_epoch), parts, strict=False):
            yield normalize(x), y

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        parts = folders.batches(self.test, 100, central_crop, order=None)
        return {"accuracy": accuracy(model, ((normalize(x), y) for x, y in parts), device)}


def _split(root: Path, layout: str) -> list[folders.Sample]:
    if not root.is_dir():
        raise DataError(f"no directory {root}: ImageNet needs {layout}")
    return folders.list_samples([root / name for name in folders.list_classes(root, CLASSES)])


def random_crop(image: Any, rng: torch.Generator) -> Any:
    """A random part of a Pillow image, scaled to `EDGE`² and mirrored half of the time."""
    width, height = image.size
    box = (0, 0, width, height)
    for _ in range(ATTEMPTS):
        share, aspect, x, y = torch.rand(4, generator=rng).tolist()
        area = width * height * (AREA[0] + share * (AREA[1] - AREA[0]))
        ratio = math.exp(math.log(ASPECT[0]) + aspect * math.log(ASPECT[1] / ASPECT[0]))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(x * (width - w + 1)), int(y * (height - h + 1))
            box = (left, top, left + w, top + h)
            break
    image = image.resize((EDGE, EDGE), folders.pillow().Resampling.BILINEAR, box=box)
    mirrored = float(torch.rand(1, generator=rng)) < 0.5
    return image.transpose(folders.pillow().Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def central_crop(image: Any, rng: torch.Generator) -> Any:
    """The central `EDGE`² of a Pillow image whose shorter side is scaled to `WHOLE`."""
    scale = WHOLE / min(image.size)
    width, height = (max(WHOLE, round(edge * scale)) for edge in image.size)
    image = image.resize((width, height), folders.pillow().Resampling.BILINEAR)
    left, top = (width - EDGE) // 2, (height - EDGE) // 2
    return image.crop((left, top, left + EDGE, top + EDGE))
