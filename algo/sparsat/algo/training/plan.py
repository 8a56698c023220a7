"""How each method is run on a task: from random weights or from a dense checkpoint, how long, how.

Most methods train from scratch with the task's own recipe. Post-training methods start from the
dense run of the same seed, look at calibration batches where they need to, and train for a share
of the recipe's steps or not at all.
"""

from dataclasses import dataclass, field
from typing import Any

CALIBRATION_EXAMPLES = 256


@dataclass(frozen=True)
class Plan:
    """The course of one method.

    `after_dense`: start from the dense run's last checkpoint. `length`: steps as a share of the
    recipe's. `calibrate`: show it training batches first. `lr`, `weight_decay`, `optimizer`
    override the recipe. `dense_share`: share of the steps trained dense before the method begins.
    `options` go to the method.
    """

    after_dense: bool = False
    length: float = 1.0
    calibrate: bool = False
    dense_share: float = 0.0
    optimizer: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether there is an optimizer step at all."""
        return self.length > 0


ONE_SHOT = Plan(after_dense=True, length=0.0)

PLANS = {
    "magnitude": ONE_SHOT,
    "wanda": Plan(after_dense=True, length=0.0, calibrate=True),
    "sparsegpt": Plan(after_dense=True, length=0.0, calibrate=True),
    "maskllm": Plan(
        after_dense=True,
        length=0.2,
        calibrate=True,
        optimizer="adamw",
        lr=5e-3,
        weight_decay=0.0,
        options={"prior": "sparsegpt"},
    ),
    "asp": Plan(dense_share=0.5),
}
"""Methods that do not simply train from scratch."""


def plan_for(method: str) -> Plan:
    """The method's plan; the default is to train from scratch with the task's recipe."""
    return PLANS.get(method, Plan())
