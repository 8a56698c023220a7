"""A task that trains in moments, and what tests ask of its runs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task, accuracy, generator
from sparsat.algo.training import run
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.run import Progress, Run

CPU = torch.device("cpu")


class Tiny(Task):
    """Random 8×8 images of two classes, 3 epochs of 4 steps."""

    name = "tiny"
    summary = "for tests"
    metric = Metric("accuracy", "%")
    recipe = Recipe("sgd", 0.05, 1e-4, batch=8, epochs=3, steps_per_epoch=4, clip=1.0, evals=2)

    def __init__(self, *unused: object) -> None:
        draw = torch.Generator().manual_seed(0)
        self.y = torch.randint(2, (32,), generator=draw)
        self.x = torch.randn(32, 1, 8, 8, generator=draw) + self.y.view(-1, 1, 1, 1)

    def model(self) -> nn.Module:
        return ResNet9(2, channels=1, widths=(8, 8, 8, 8))

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(32, generator=generator(seed, epoch))
        yield from ((self.x[pick], self.y[pick]) for pick in order.split(8))

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        return {"accuracy": accuracy(model, iter([(self.x, self.y)]), device)}


def tiny(*unused: object) -> Task:
    return Tiny()


def config(method: str = "bdwp", **changes: Any) -> RunConfig:
    return replace(RunConfig(task="tiny", method=method), **changes)


def train(root: Path, method: str = "bdwp", **changes: Any) -> dict[str, Any]:
    return Run(config(method, **changes), root, CPU).execute()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def rows(folder: Path) -> list[dict[str, Any]]:
    log = json.loads((folder / "log.json").read_text())["rows"]
    return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in log]


def stop_at(step: int) -> run.Watcher:
    def watch(progress: Progress) -> None:
        if progress.step == step and progress.loss is not None:
            raise KeyboardInterrupt

    return watch


def assert_same_run(a: Path, b: Path) -> None:
    assert rows(a) == rows(b)
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
