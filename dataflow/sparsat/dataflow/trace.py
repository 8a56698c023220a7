"""From a module to the graph of its training step, by AOTAutograd on tensors without storage."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._functorch.aot_autograd import aot_export_joint_with_descriptors
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph
from torch.fx import traceback as fx_traceback
from torch.nn.attention import SDPBackend, sdpa_kernel

Loss = Callable[..., Tensor]
"""From the model's output, and what it should have been where that is given, to a scalar."""

MODEL = "model"
"""What the traced wrapper calls the user's module; the prefix of every parameter's name."""

LOSS_LAYER = "loss"


def trace(
    model: nn.Module, inputs: Sequence[Any], loss: Loss | None, targets: Sequence[Any] = ()
) -> Graph:
    """Forward, loss and the gradient of every parameter of `model`, in one functional graph.

    The graph takes `inputs` and then `targets`, which `loss` takes beside the output.
    Each node's meta holds `val` (fake tensors), `custom["layer"]` (the innermost module that ran
    it or whose gradient it computes), `seq_nr` (shared by an operation and its gradient), and for
    inputs and outputs `desc`. Attention is decomposed into products and a softmax. The model is
    traced in training mode and left as it was. Raises whatever PyTorch raises.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    device = next(model.parameters()).device
    fakes = tuple(_fake(value, mode, device) for value in (*inputs, *targets))
    step = _WithLoss(model, loss or default_loss, len(inputs))
    with ExitStack() as stack, _training(model), _layers_noted(model):
        for context in (_plain_kernels(), _quiet(), mode, fx_traceback.preserve_node_meta()):
            stack.enter_context(context)
        return aot_export_joint_with_descriptors(stack, step, fakes).graph_module.graph


def default_loss(output: Any) -> Tensor:
    """Cross entropy of the first floating tensor in `output`, with class 0 as every target.

    Classes are the last dimension up to three dimensions, the second beyond (dense prediction).
    A scalar is taken as the loss itself, a single class as a regression to zero.
    """
    scores = _first_floating(output)
    if scores.ndim == 0:
        return scores
    if scores.ndim == 1 or scores.shape[-1 if scores.ndim <= 3 else 1] == 1:
        return scores.square().mean()
    if scores.ndim == 3:
        scores = scores.flatten(0, 1)
    shape = (scores.shape[0], *scores.shape[2:])
    return F.cross_entropy(scores, torch.zeros(shape, dtype=torch.long, device=scores.device))


def _first_floating(output: Any) -> Tensor:
    for leaf in torch.utils._pytree.tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return leaf
    raise TypeError(f"the output holds no floating-point tensor: {type(output).__name__}")


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module, loss: Loss, inputs: int) -> None:
        super().__init__()
        self.add_module(MODEL, model)
        self._loss, self._inputs = loss, inputs

    def forward(self, *values: Any) -> Tensor:
        output = self.get_submodule(MODEL)(*values[: self._inputs])
        with fx_traceback.annotate({"layer": LOSS_LAYER}):
            return self._loss(output, *values[self._inputs :])


def _fake(value: Any, mode: FakeTensorMode, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    with mode:
        return torch.empty(value.shape, dtype=value.dtype, device=device)


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """While open, attention and recurrent layers are made of products instead of one kernel."""
    before = torch.backends.mkldnn.enabled
    try:
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mkldnn.enabled = before  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """While open, a failing trace raises without also printing where inside PyTorch it failed."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    try:
        model.train()
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _layers_noted(model: nn.Module) -> Iterator[None]:
    """While open, every node traced inside a module's forward carries that module's name."""
    running: list[Any] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            note = fx_traceback.annotate({"layer": name})
            note.__enter__()
            running.append(note)

        return hook

    def leave(*_: Any) -> None:
        running.pop().__exit__(None, None, None)

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        while running:
            leave()
        for hook in hooks:
            hook.remove()
