"""Tiny-ImageNet (200 classes of 64×64) from a directory of yours.

Layout as distributed: `train/<class>/images/*.JPEG`, `val/images/*.JPEG` and
`val/val_annotations.txt`. All images are decoded once and kept in memory (1.3 GB).
"""

from pathlib import Path
from typing import Any

import torch

from sparsat.algo.tasks import folders
from sparsat.algo.tasks.base import Batch, DataError, Recipe
from sparsat.algo.tasks.images import ImageTask

CLASSES = 200


class TinyImageNet(ImageTask):
    """Tiny-ImageNet, ResNet18."""

    name = "tiny-imagenet"
    summary = "Tiny-ImageNet from your directory; ResNet18"
    usual_model = "resnet18"
    needs_data = "tiny-imagenet-200/ (train/<class>/images, val/images, val/val_annotations.txt)"
    pad = 8
    recipe = Recipe(
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-4,
        batch=128,
        epochs=60,
        steps_per_epoch=781,
        warmup=0.1,
        smoothing=0.1,
    )

    def load(self, data: Path) -> tuple[Batch, Batch]:
        inner = data / "tiny-imagenet-200"
        root = inner if inner.is_dir() else data
        if not (root / "train").is_dir() or not (root / "val" / "images").is_dir():
            raise DataError(f"{root} holds no {self.name}: expected {self.needs_data}")
        classes = folders.list_classes(root / "train", CLASSES)
        train = folders.list_samples([root / "train" / name for name in classes])
        return _read(train), _read(_validation(root / "val", classes))


def _validation(folder: Path, classes: list[str]) -> list[folders.Sample]:
    """(file, class number) by the annotations: name, class and box on each line."""
    file = folder / "val_annotations.txt"
    try:
        lines = [line.split("\t") for line in file.read_text().splitlines() if line]
        return [(folder / "images" / line[0], classes.index(line[1])) for line in lines]
    except (OSError, IndexError, ValueError):
        raise DataError(f"{file} is absent or malformed: unpack the data set again") from None


def _read(samples: list[folders.Sample]) -> Batch:
    parts = list(folders.batches(samples, 1000, _unchanged, order=None))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _unchanged(image: Any, rng: torch.Generator) -> Any:
    if image.size != (64, 64):
        raise DataError(f"an image is {image.size[0]}×{image.size[1]}, Tiny-ImageNet's are 64×64")
    return image
