"""What a run trains: model, method and optimizer, as one state that goes on bit by bit."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from sparsat.algo import Handle, prepare
from sparsat.algo.tasks.base import Batch, Recipe, Task
from sparsat.algo.training import checkpoint, cost
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.optimize import Optimization
from sparsat.algo.training.plan import CALIBRATION_EXAMPLES, Plan, plan_for

CALIBRATION_EPOCH = 999_999
"""Epoch number, beyond any real one, whose batches calibrate post-training methods."""


class Trainer:
    """The model of `task`, trained as `config` says; call `start` or `load_state_dict` first.

    `steps` is the number of optimizer steps, `start_steps` that of the dense run it starts from,
    `step` and `macs` what is done so far, `dense_macs` what dense training would take in all.
    """

    def __init__(self, task: Task, config: RunConfig, device: torch.device) -> None:
        self.task, self.config, self.device = task, config, device
        self.plan = plan_for(config.method)
        self.recipe = _recipe(task.recipe, self.plan, config)
        epochs = config.epochs or self.recipe.epochs
        full = config.steps or epochs * self.recipe.steps_per_epoch
        self.steps = round(full * self.plan.length)
        self.start_steps = full if self.plan.after_dense else 0
        self.switch = round(self.steps * self.plan.dense_share)
        checkpoint.seed_everything(config.seed)
        self.model = task.model().to(device)
        inputs, _ = next(task.batches(config.seed, 0))
        self.cost = cost.measure(self.model, inputs.to(device))
        self.step, self.macs = 0, 0.0
        self.dense_macs = self.cost.step({}) * full

    def start(self, dense: Mapping[str, Any] | None) -> None:
        """Begin, from the state of the `dense` run where the method needs one."""
        if dense is not None:
            self.model.load_state_dict(dense["model"])
            self.macs = dense["macs"]
        checkpoint.seed_everything(self.config.seed)
        self._attach(dense=self.switch > 0)
        if self.plan.calibrate:
            self._calibrate()
        self._optimize()

    def train(self, batch: Batch) -> float:
        """One optimizer step; the loss before it. Where that is not finite, no weight changes."""
        if self.dense_phase and self.step == self.switch:
            self.finalize()
            self._attach(dense=False)
        self.model.train()
        loss = self.task.loss(self.model, self._moved(batch)) + self.handle.penalty()
        value = float(loss.detach())
        if math.isfinite(value):
            self.macs += self.cost.step(self.handle.stages)
            self.optimization.step(loss, self.step)
            self.handle.step()
            self.step += 1
        return value

    @torch.no_grad()
    def loss(self, batch: Batch) -> float:
        """The loss of `batch` as the model is now; draws no random numbers."""
        self.model.eval()
        return float(self.task.loss(self.model, self._moved(batch)))

    def evaluate(self) -> dict[str, float]:
        """The task's scores as the model is now."""
        return self.task.evaluate(self.model, self.device)

    def finalize(self) -> None:
        """Write the pruned weights into the model and make its modules plain."""
        self.model = self.handle.finalize()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, but for the random state."""
        return {
            "step": self.step,
            "macs": self.macs,
            "dense_phase": self.dense_phase,
            "model": self.model.state_dict(),
            "handle": self.handle.state_dict(),
            "optimization": self.optimization.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.step, self.macs = state["step"], state["macs"]
        self._attach(dense=state["dense_phase"])
        self._optimize()
        self.model.load_state_dict(state["model"])
        self.handle.load_state_dict(state["handle"])
        self.optimization.load_state_dict(state["optimization"])

    def _attach(self, *, dense: bool) -> None:
        """Prepare the model for the run's method, or for its dense phase."""
        self.dense_phase = dense
        config = self.config.dense if dense else self.config
        nm_config = config.nm_config(self.task.exclude, max(1, self.steps))
        self.handle: Handle = prepare(self.model, nm_config)

    def _calibrate(self) -> None:
        count = math.ceil(CALIBRATION_EXAMPLES / self.recipe.batch)
        batches = self.task.batches(self.config.seed, CALIBRATION_EPOCH)
        self.handle.calibrate([x.to(self.device) for x, _ in islice(batches, count)])
        self.macs += count * self.cost.forward()

    def _optimize(self) -> None:
        self.optimization = Optimization(
            self.handle.parameters(),
            self.recipe,
            self.steps,
            self.device,
            scaled=self.config.numerics == "sat",
        )

    def _moved(self, batch: Batch) -> Batch:
        inputs, targets = batch
        return (
            inputs.to(self.device, non_blocking=True),
            targets.to(self.device, non_blocking=True),
        )


def _recipe(recipe: Recipe, plan: Plan, config: RunConfig) -> Recipe:
    """The task's recipe with what the method's plan and the user change."""
    changes: dict[str, Any] = {
        "optimizer": plan.optimizer,
        "weight_decay": plan.weight_decay,
        "lr": config.lr if config.lr is not None else plan.lr,
    }
    return replace(recipe, **{k: v for k, v in changes.items() if v is not None})
