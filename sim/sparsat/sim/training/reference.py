"""The same training in PyTorch's own float32: about the same losses, for comparison."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from sparsat.algo import NMConfig, prepare
from sparsat.algo.patterns import NMPattern
from sparsat.algo.tasks.base import Batch
from sparsat.sim.training.hyper import Hyper


def torch_losses(
    model: nn.Module,
    loss: nn.Module,
    pattern: NMPattern | None,
    batches: Iterator[Batch],
    hypers: Sequence[Hyper],
) -> list[float]:
    """The loss before each step, from the weights of `model`, which stays as it is."""
    model, first = copy.deepcopy(model).train(), hypers[0]
    config = NMConfig(method="dense")
    if pattern:
        config = NMConfig("bdwp", pattern.n_keep, pattern.m, decay=first.masked_decay)
    handle = prepare(model, config)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=first.rate, momentum=first.momentum, weight_decay=first.decay
    )
    losses = []
    for (x, y), hyper in zip(batches, hypers, strict=False):
        optimizer.param_groups[0]["lr"] = hyper.rate
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        handle.step()
        losses.append(value.item())
    return losses
