"""Cluttered digits: a small image task that needs no download.

The 1797 handwritten 8×8 digits that ship with scikit-learn (UCI) are split first, 70 : 30, and
then drawn twice as large at a random place of a 28×28 canvas, between fragments of other digits
and under Gaussian noise. The label is the whole digit. No training digit occurs in a test image.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import nn

from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task, accuracy, generator

CANVAS, GLYPH, FRAGMENT = 28, 16, 6
"""Edges in pixels of the image, of the enlarged digit, and of a piece of clutter."""
FRAGMENTS, NOISE = 3, 0.25
TRAIN, TEST, DATA_SEED = 10_000, 5_000, 2309


class Digits(Task):
    """ResNet9 at an eighth of its width, on 10 000 cluttered digits, tested on 5 000."""

    name = "digits"
    summary = "cluttered handwritten digits, made offline; small ResNet9"
    metric = Metric("accuracy", "%")
    recipe = Recipe(
        optimizer="sgd",
        lr=0.2,
        weight_decay=5e-4,
        batch=128,
        epochs=4,
        steps_per_epoch=TRAIN // 128,
        smoothing=0.1,
        evals=2,
    )

    def __init__(self) -> None:
        self.train, self.test = _datasets()

    def model(self) -> nn.Module:
        return ResNet9(10, channels=1, widths=(8, 16, 32, 64))

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        x, y = self.train
        order = torch.randperm(len(x), generator=generator(seed, epoch))
        for pick in order.split(self.recipe.batch)[: self.recipe.steps_per_epoch]:
            yield x[pick], y[pick]

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        x, y = self.test
        return {"accuracy": accuracy(model, zip(x.split(500), y.split(500), strict=True), device)}


@cache
def _datasets() -> tuple[Batch, Batch]:
    """Training and test set, images `[n, 1, 28, 28]` of mean about 0, labels `[n]`."""
    from sklearn.datasets import load_digits

    glyphs, labels = load_digits(return_X_y=True)
    glyphs = (glyphs.reshape(-1, 8, 8) / 16).repeat(2, axis=1).repeat(2, axis=2)
    rng = np.random.default_rng(DATA_SEED)
    order = rng.permutation(len(labels))
    cut = round(0.7 * len(labels))
    train, test = order[:cut], order[cut:]
    return (
        _compose(glyphs[train], labels[train], TRAIN, rng),
        _compose(glyphs[test], labels[test], TEST, rng),
    )


def _compose(glyphs: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator) -> Batch:
    """`count` images from digits `[k, 16, 16]`, each with one whole digit and clutter."""
    canvas = np.zeros((count, CANVAS, CANVAS))
    for _ in range(FRAGMENTS):
        pieces = glyphs[rng.integers(len(glyphs), size=count)]
        _paste(canvas, _crop(pieces, rng), rng)
    pick = rng.integers(len(glyphs), size=count)
    _paste(canvas, glyphs[pick], rng)
    canvas += rng.normal(0, NOISE, canvas.shape)
    images = torch.from_numpy((canvas - 0.2) / 0.4).float().unsqueeze(1)
    return images, torch.from_numpy(labels[pick]).long()


def _crop(pieces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random `[n, FRAGMENT, FRAGMENT]` window of each of `[n, GLYPH, GLYPH]`."""
    return pieces[_window(len(pieces), GLYPH, FRAGMENT, rng)]


def _paste(canvas: np.ndarray, pieces: np.ndarray, rng: np.random.Generator) -> None:
    """Draw each piece at a random place of its canvas; the brighter pixel wins."""
    place = _window(len(pieces), CANVAS, pieces.shape[1], rng)
    canvas[place] = np.maximum(canvas[place], pieces)


def _window(
    count: int, outer: int, inner: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of a random `inner`² window in each of `count` squares of edge `outer`."""
    y, x = rng.integers(outer - inner + 1, size=(2, count, 1, 1))
    edge = np.arange(inner)
    return np.arange(count)[:, None, None], y + edge[:, None], x + edge
