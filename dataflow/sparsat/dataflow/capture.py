"""Capture: a training step of any `nn.Module` as a `Step` of the IR.

    step = capture(model, torch.empty(512, 3, 224, 224, device="meta"))

Only shapes matter: nothing is computed and a batch of any size costs no memory.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from sparsat.dataflow.ir import Step
from sparsat.dataflow.lower import lower
from sparsat.dataflow.trace import Loss, trace


def capture(
    model: nn.Module,
    example: Tensor | Sequence[Any],
    loss: Loss | None = None,
    *,
    name: str | None = None,
) -> Step:
    """Forward, `loss`, backward and update of `model` on the `example` input or inputs.

    `loss` turns the model's output into a scalar, by default a cross entropy. The batch is the
    first dimension of the first tensor. Raises a one-line `ValueError` that says why if the model
    cannot be traced, has nothing to train, or gets no tensor.
    """
    name = name or type(model).__name__
    inputs = (example,) if isinstance(example, Tensor) else tuple(example)
    batch = _batch(name, inputs)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"{name}: no parameter requires a gradient, so there is nothing to train")
    try:
        graph = trace(model, inputs, loss)
    except Exception as error:  # a model is a program and may fail in any way
        raise ValueError(f"{name} does not trace{_place(error)}: {_one_line(error)}") from error
    return lower(graph, canonical_names(model), name, batch).step


def _batch(name: str, inputs: tuple[Any, ...]) -> int:
    tensors = [each for each in inputs if isinstance(each, Tensor)]
    if not tensors or tensors[0].ndim == 0:
        raise ValueError(f"{name}: the example input must begin with a tensor [batch, ...]")
    if tensors[0].shape[0] < 1:
        raise ValueError(f"{name}: batch must be at least 1, not {tensors[0].shape[0]}")
    return tensors[0].shape[0]


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Every name of every parameter, with the name that stands for it: tied ones share it."""
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    every = model.named_parameters(remove_duplicate=False)
    return {name: first[id(parameter)] for name, parameter in every}


def _place(error: Exception) -> str:
    """The innermost line of the model's own code that was running, if any."""
    libraries = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith(libraries)]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _one_line(error: Exception) -> str:
    if isinstance(error, DataDependentOutputException):
        return f"it asks for the values of a tensor ({error.func}), only its shape is known here"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
