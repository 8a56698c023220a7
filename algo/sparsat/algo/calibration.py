"""One-shot pruning from data: layer after layer, each on what the pruned ones before it give."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .methods.base import Method
from .sites import Site


@torch.no_grad()
def calibrate(
    model: nn.Module, sites: Sequence[Site], method: Method, batches: Iterable[Any]
) -> None:
    """Let `method` prune every site from the inputs it sees while `model` runs over `batches`.

    A batch is an input of the model, a tuple its arguments. The model runs once per site and batch,
    in evaluation mode. Raises `ValueError` where there is no batch.
    """
    inputs = list(batches)
    if not inputs:
        raise ValueError("batches is empty; allowed: at least one input of the model")
    training = model.training
    model.eval()
    try:
        for site in _in_order(model, sites, inputs[0]):
            method.calibrate(site, _inputs_of(model, site, inputs))
            site.regenerate()
    finally:
        model.train(training)


def _in_order(model: nn.Module, sites: Sequence[Site], batch: Any) -> list[Site]:
    """The sites as the model first reaches them."""
    order: dict[str, Site] = {}
    for site in sites:
        site.tap = partial(_note, order, site)
    try:
        _run(model, batch)
    finally:
        for site in sites:
            site.tap = None
    return list(order.values())


def _note(order: dict[str, Site], site: Site, x: Tensor) -> None:
    order.setdefault(site.name, site)


def _inputs_of(model: nn.Module, site: Site, batches: list[Any]) -> Iterator[Tensor]:
    """What reaches `site` in a run over `batches`."""
    for batch in batches:
        seen: list[Tensor] = []
        site.tap = seen.append
        try:
            _run(model, batch)
        finally:
            site.tap = None
        yield from seen


def _run(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, tuple | list):
        model(*batch)
    else:
        model(batch)
