"""Images in folders by class: listing, decoding with Pillow, batches in a replayable order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparsat.algo.tasks.base import Batch, DataError, generator

SUFFIXES = {".jpg", ".jpeg", ".png"}
Sample = tuple[Path, int]
Transform = Callable[[Any, torch.Generator], Any]
"""(Pillow image, random stream) → Pillow image of the model's size."""


def list_classes(root: Path, expected: int) -> list[str]:
    """Names of the class folders in `root`, sorted; `DataError` unless there are `expected`."""
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if len(names) != expected:
        raise DataError(f"{root} has {len(names)} class folders, not {expected}: unpack it again")
    return names


def list_samples(folders: list[Path]) -> list[Sample]:
    """(file, class number) of all images below `folders[class number]`."""
    samples = [
        (file, label)
        for label, folder in enumerate(folders)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    if not samples:
        raise DataError(f"no images ({', '.join(sorted(SUFFIXES))}) below {folders[0].parent}")
    return samples


def pillow() -> Any:
    """The `PIL.Image` module, or a `DataError` that says how to get it."""
    try:
        from PIL import Image  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise DataError("JPEG images need Pillow: pip install pillow") from None
    return Image


def decode(file: Path, transform: Transform, rng: torch.Generator) -> Tensor:
    """The image in `file` as uint8 `[3, h, w]`, colour, transformed."""
    try:
        with pillow().open(file) as image:
            pixels = np.array(transform(image.convert("RGB"), rng))
    except OSError as error:
        raise DataError(f"{file} is not a readable image ({error}): unpack it again") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def batches(
    samples: list[Sample], batch: int, transform: Transform, *, order: tuple[int, int] | None
) -> Iterator[Batch]:
    """uint8 images `[n, 3, h, w]` and labels `[n]`, decoded on the fly.

    `order` is (seed, epoch) of a shuffled pass; None goes through in order. Images are
    transformed with one random stream per batch.
    """
    rng = generator(*order) if order else torch.Generator()
    picks = torch.randperm(len(samples), generator=rng) if order else torch.arange(len(samples))
    for pick in picks.split(batch):
        files, labels = zip(*(samples[i] for i in pick.tolist()), strict=True)
        yield torch.stack([decode(f, transform, rng) for f in files]), torch.tensor(labels)
