"""The optimizer of a run: learning rate by step number, clipping, loss scaling."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sparsat.algo.tasks.base import Recipe

LOSS_SCALE = 2.0**10
"""First loss scale where gradients are rounded to fp16; it adapts from there."""
MOMENTUM = 0.9
BETAS = (0.9, 0.95)


def rate(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` of `steps`.

    A cosine from 1/25 up to 1 during the first `warmup` of all steps, then one down to 0.
    """
    rise = warmup * steps
    if step < rise:
        return 1 - 0.96 * (1 + math.cos(math.pi * step / rise)) / 2
    return (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise))) / 2


class Optimization:
    """SGD (Nesterov) or AdamW over `parameters` as `recipe` says, for `steps` steps.

    `scaled` turns on dynamic loss scaling, for arithmetic whose gradients would underflow.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        recipe: Recipe,
        steps: int,
        device: torch.device,
        *,
        scaled: bool,
    ) -> None:
        self.recipe, self.steps = recipe, steps
        self.parameters = [p for p in parameters if p.requires_grad]
        self.optimizer = self._optimizer()
        self.scaler = torch.amp.GradScaler(device.type, init_scale=LOSS_SCALE, enabled=scaled)

    def _optimizer(self) -> torch.optim.Optimizer:
        r = self.recipe
        if r.optimizer == "adamw":
            return torch.optim.AdamW(
                self.parameters, lr=r.lr, weight_decay=r.weight_decay, betas=BETAS
            )
        return torch.optim.SGD(
            self.parameters, lr=r.lr, weight_decay=r.weight_decay, momentum=MOMENTUM, nesterov=True
        )

    def lr(self, step: int) -> float:
        """The learning rate of step number `step`, counted from 0."""
        return self.recipe.lr * rate(step, self.steps, self.recipe.warmup)

    def step(self, loss: Tensor, step: int) -> None:
        """Gradients of `loss`, clipped, and one update with the rate of `step`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr(step)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
