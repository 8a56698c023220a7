"""What a training task is: a model, an endless supply of batches, a loss and a score."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
"""(inputs, targets), both with the batch as first axis, on the CPU."""


class DataError(ValueError):
    """A data set is absent or malformed; the message says what, where and what to do."""


@dataclass(frozen=True)
class Metric:
    """A score of a trained model: its name in logs, its unit in tables, which way is better."""

    name: str
    unit: str
    higher_is_better: bool = True
    digits: int = 2


@dataclass(frozen=True)
class Recipe:
    """How a task is trained unless the user says otherwise.

    The learning rate rises over `warmup` of all steps to `lr` and falls along a cosine to zero.
    `clip` bounds the gradient norm, `smoothing` is the label smoothing, `evals` the number of
    evaluations in each epoch.
    """

    optimizer: Literal["sgd", "adamw"]
    lr: float
    weight_decay: float
    batch: int
    epochs: int
    steps_per_epoch: int
    warmup: float = 0.3
    clip: float | None = None
    smoothing: float = 0.0
    evals: int = 1


class Task(ABC):
    """Base of all tasks. Batches depend on (seed, epoch) alone, so any epoch can be replayed."""

    name: ClassVar[str]
    summary: ClassVar[str]
    needs_data: ClassVar[str] = ""
    """Layout expected under the data directory; empty for tasks that make their own data.

    Where there is one, the constructor takes the directory and the name of a model.
    """
    usual_model: ClassVar[str] = ""
    """Name of the model unless another is asked for; empty for tasks with a model of their own."""
    metric: ClassVar[Metric]
    extra_metrics: ClassVar[tuple[Metric, ...]] = ()
    matching: ClassVar[float | None] = None
    """Share of the dense score from which on a sparse model counts as matching."""
    matched: ClassVar[tuple[str, ...]] = ()
    """Names of the metrics that are held to `matching`."""
    exclude: ClassVar[tuple[str, ...] | None] = None
    """Regexes of layers left dense; None for the usual first layer and classifier."""
    recipe: Recipe

    @abstractmethod
    def model(self) -> nn.Module:
        """A freshly initialised model (uses the global random state)."""

    @abstractmethod
    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        """The `recipe.steps_per_epoch` batches of one epoch."""

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Scores by metric name; draws no random numbers and leaves the model in eval mode."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross entropy of one batch, in nats."""
        inputs, targets = batch
        logits = model(inputs).flatten(0, -2)
        return F.cross_entropy(
            logits, targets.flatten(), label_smoothing=self.recipe.smoothing, ignore_index=-100
        )

    def provenance(self) -> dict[str, str]:
        """Facts about the data that results depend on, such as a checksum."""
        return {}


def generator(seed: int, epoch: int) -> torch.Generator:
    """A random stream of its own for each (seed, epoch)."""
    return torch.Generator().manual_seed((seed + 1) * 1_000_003 + epoch)


def accuracy(model: nn.Module, batches: Iterator[Batch], device: torch.device) -> float:
    """Share of correct top-1 predictions in percent."""
    model.eval()
    right = seen = 0
    with torch.inference_mode():
        for x, y in batches:
            right += int((model(x.to(device)).argmax(1) == y.to(device)).sum())
            seen += len(y)
    return 100 * right / seen


def require_directory(data: Path | None, task: str, layout: str) -> None:
    """Raise a `DataError` that says what should be there unless `data` is a directory."""
    if data is None:
        raise DataError(f"task {task} reads your copy of the data: pass --data DIR with {layout}")
    if not data.is_dir():
        raise DataError(f"no directory {data}: task {task} expects {layout} there (--data DIR)")
