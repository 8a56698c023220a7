"""CIFAR-10 and CIFAR-100 from a directory of yours, in either of the two official formats.

The Python version is pickled; it is read with an unpickler that admits NumPy arrays and nothing
else, so a file from elsewhere cannot run code. Source: Krizhevsky 2009.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from sparsat.algo.models import DATASETS
from sparsat.algo.tasks.base import Batch, DataError, Recipe
from sparsat.algo.tasks.images import ImageTask

PIXELS = 3 * 32 * 32
Arrays = tuple[np.ndarray, np.ndarray]
"""Images, uint8 `[n, 3072]`, and labels `[n]`."""
RECIPE = Recipe(
    optimizer="sgd",
    lr=0.1,
    weight_decay=5e-4,
    batch=128,
    epochs=30,
    steps_per_epoch=390,
    warmup=0.2,
    smoothing=0.1,
)


class Cifar10(ImageTask):
    """CIFAR-10, ResNet9."""

    name = "cifar10"
    summary = "CIFAR-10 from your directory; ResNet9"
    usual_model = "resnet9"
    needs_data = "cifar-10-batches-py/ or cifar-10-batches-bin/ (or their files)"
    recipe = RECIPE
    folders: ClassVar[tuple[str, str]] = ("cifar-10-batches-py", "cifar-10-batches-bin")
    parts: ClassVar[tuple[list[str], list[str]]] = (
        [f"data_batch_{i}" for i in range(1, 6)],
        ["test_batch"],
    )
    label: ClassVar[bytes] = b"labels"
    label_bytes: ClassVar[int] = 1

    def load(self, data: Path) -> tuple[Batch, Batch]:
        for folder, read, suffix in zip(
            self.folders, (self._pickled, self._binary), ("", ".bin"), strict=True
        ):
            for place in (data / folder, data):
                files = [[place / f"{part}{suffix}" for part in split] for split in self.parts]
                if all(file.is_file() for split in files for file in split):
                    train, test = ([self._checked(read, f) for f in split] for split in files)
                    return _join(train), _join(test)
        raise DataError(f"{data} holds no {self.name}: expected {self.needs_data}")

    def _checked(self, read: Callable[[Path], Arrays], file: Path) -> Arrays:
        """What `read` finds in `file`, if it is images and labels of this data set."""
        try:
            images, labels = read(file)
        except DataError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError):
            images, labels = np.empty(0), np.empty(0)
        whole = labels.ndim == 1 and labels.size > 0 and images.shape == (labels.size, PIXELS)
        if not (whole and np.isin(labels, np.arange(DATASETS[self.name].classes)).all()):
            raise DataError(f"{file} is not a {self.name} batch: download it again")
        return images, labels

    def _pickled(self, file: Path) -> Arrays:
        """Images and labels of one file of the Python version."""
        content = _unpickle(file)
        return np.asarray(content[b"data"], np.uint8), np.asarray(content[self.label])

    def _binary(self, file: Path) -> Arrays:
        """The same of the binary version: the label bytes (the last counts), then the pixels."""
        rows = np.fromfile(file, np.uint8).reshape(-1, self.label_bytes + PIXELS)
        return rows[:, self.label_bytes :], rows[:, self.label_bytes - 1]


class Cifar100(Cifar10):
    """CIFAR-100 with its 100 fine labels, VGG19."""

    name = "cifar100"
    summary = "CIFAR-100 from your directory; VGG19 (or --model vit)"
    usual_model = "vgg19"
    needs_data = "cifar-100-python/ or cifar-100-binary/ (or their files)"
    folders = ("cifar-100-python", "cifar-100-binary")
    parts = (["train"], ["test"])
    label = b"fine_labels"
    label_bytes = 2


def _join(parts: list[Arrays]) -> Batch:
    images = np.concatenate([x for x, _ in parts]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([y for _, y in parts]).astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


class _ArraysOnly(pickle.Unpickler):
    """Admits what pickled NumPy arrays are made of."""

    ADMITTED = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"})

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in self.ADMITTED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def _unpickle(file: Path) -> Any:
    try:
        return _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file} cannot be read ({reason}): download it again") from None
