"""What one training run is: everything its result depends on."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from sparsat.algo import NMPattern
from sparsat.algo.methods import METHODS
from sparsat.algo.training.errors import TrainError

NUMERICS = ("torch", "sat")


@dataclass(frozen=True)
class RunConfig:
    """One run. `None` means the task's or method's own default.

    `pattern` is "N:M", N kept; it is ignored by the dense method. `steps` is the number of
    optimizer steps on this task's recipe, `decay` the λ of the SR-STE term, `model` another model
    for an image task.
    """

    task: str
    method: str = "dense"
    pattern: str = "2:8"
    seed: int = 0
    steps: int | None = None
    numerics: str = "torch"
    decay: float | None = None
    lr: float | None = None
    data: str | None = None
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise TrainError(f"unknown method {self.method!r}: known are {', '.join(METHODS)}")
        try:
            NMPattern.parse(self.pattern)
        except ValueError as error:
            raise TrainError(f"pattern {self.pattern!r}: {error}") from None
        if self.numerics not in NUMERICS:
            raise TrainError(f"numerics is {self.numerics!r}; known are {', '.join(NUMERICS)}")
        if self.steps is not None and self.steps < 1:
            raise TrainError(f"steps is {self.steps}; it must be at least 1")
        if self.method == "fixed":
            raise TrainError("method fixed needs imported masks: use prepare() and import_masks()")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise TrainError(f"lr is {self.lr}; it must be above 0 and finite")
        if self.seed < 0:
            raise TrainError(f"seed is {self.seed}; it must be 0 or more")

    @property
    def folder(self) -> str:
        """Name of the run's folder, e.g. `bdwp-2of8-s0`."""
        pattern = "" if self.method == "dense" else "-" + self.pattern.replace(":", "of")
        numerics = "" if self.numerics == "torch" else f"-{self.numerics}"
        return f"{self.method}{pattern}{numerics}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, equal for equal runs."""
        values = asdict(self)
        return values | {"pattern": None, "decay": None} if self.method == "dense" else values
