"""The hook by which a method changes gradients just before any PyTorch optimizer reads them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

if TYPE_CHECKING:
    from .handle import Handle


def hook_optimizers(handle: Handle) -> Callable[[], object]:
    """Change the gradients of the handle's weights before every step, while the handle lives.

    Returns what takes the hook away. A step with a closure raises `RuntimeError`: it computes its
    gradients only after the hook.
    """
    reference = weakref.ref(handle)

    def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        alive = reference()
        if alive is not None:
            closure = args[1] if len(args) > 1 else kwargs.get("closure")
            _adjust(alive, optimizer, closure)

    removable = register_optimizer_step_pre_hook(hook)
    return weakref.finalize(handle, removable.remove)


@torch.no_grad()
def _adjust(handle: Handle, optimizer: Optimizer, closure: object) -> None:
    scale = getattr(optimizer, "grad_scale", None)  # set by GradScaler for fused optimizers
    sites = {id(site.weight): site for site in handle.sites}
    weights = [p for group in optimizer.param_groups for p in group["params"] if id(p) in sites]
    if weights and closure is not None:
        raise RuntimeError(
            "optimizer.step(closure) computes gradients that the method cannot change; "
            "call backward() first and step() without a closure"
        )
    for weight in weights:
        if weight.grad is not None:
            site = sites[id(weight)]
            handle.method.adjust_grad(site, weight.grad, 1.0 if scale is None else scale)
