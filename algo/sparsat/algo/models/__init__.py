"""The models SparSAT trains and simulates, by name.

The five of the N:M training literature (`resnet9`, `vit`, `vgg19`, `resnet18`, `resnet50`) at the
input sizes of four datasets. `build("resnet18")` takes the dataset the model is usually paired
with, `build("resnet18", "imagenet")` another one. Pairing is our reading of the literature.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsat.algo.models.resnet import resnet18, resnet50
from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.models.vgg19 import VGG19
from sparsat.algo.models.vit import ViT

__all__ = ["DATASETS", "MODELS", "PAIRING", "ImageShape", "build", "example_input", "shape_of"]


@dataclass(frozen=True)
class ImageShape:
    """What a dataset demands of a model: square RGB images of `image` pixels, `classes` labels."""

    image: int
    classes: int


DATASETS = {
    "cifar10": ImageShape(32, 10),
    "cifar100": ImageShape(32, 100),
    "tiny-imagenet": ImageShape(64, 200),
    "imagenet": ImageShape(224, 1000),
}

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet9": lambda classes, image: ResNet9(classes),
    "vit": ViT,
    "vgg19": VGG19,
    "resnet18": resnet18,
    "resnet50": resnet50,
}
"""name → builder(classes, image)."""

PAIRING = {
    "resnet9": "cifar10",
    "vit": "cifar100",
    "vgg19": "cifar100",
    "resnet18": "tiny-imagenet",
    "resnet50": "imagenet",
}


def build(name: str, dataset: str | None = None) -> nn.Module:
    """The model `name`, randomly initialised, for `dataset` (default: its pairing).

    Raises `ValueError` that lists the known names when one is unknown.
    """
    shape = shape_of(name, dataset)
    return MODELS[name](shape.classes, shape.image)


def example_input(name: str, dataset: str | None = None, *, batch: int = 1) -> Tensor:
    """Zeros `[batch, 3, image, image]` of the size `build(name, dataset)` expects."""
    image = shape_of(name, dataset).image
    return torch.zeros(batch, 3, image, image)


def shape_of(name: str, dataset: str | None) -> ImageShape:
    """What `build(name, dataset)` is made for. Raises `ValueError` like it."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: known are {', '.join(MODELS)}")
    dataset = dataset or PAIRING[name]
    if dataset not in DATASETS:
        raise ValueError(f"unknown dataset {dataset!r}: known are {', '.join(DATASETS)}")
    return DATASETS[dataset]
