"""What one training run is: everything its result depends on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sparsat.algo import METHODS, NMConfig, NMPattern
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.plan import plan_for


@dataclass(frozen=True)
class RunConfig:
    """One run. `None` means the task's or method's own default.

    `pattern` is "N:M", N kept; it is ignored by the dense method. `steps` or
    `epochs` is the length of this task's recipe, `decay` the λ of the SR-STE term, `model` another
    model for an image task, `options` the method's own settings. Raises `TrainError` for what no
    run can be, also where the method cannot take the pattern, the decay, the rate or an option.
    """

    task: str
    method: str = "dense"
    pattern: str = "2:8"
    seed: int = 0
    steps: int | None = None
    epochs: int | None = None
    numerics: str = "torch"
    decay: float | None = None
    lr: float | None = None
    data: str | None = None
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            NMPattern.parse(self.pattern)
        except ValueError as error:
            raise TrainError(f"pattern {self.pattern!r}: {error}") from None
        try:
            self.nm_config()
        except ValueError as error:
            raise TrainError(str(error)) from None
        if self.method == "fixed":
            raise TrainError("method fixed needs imported masks: use prepare() and import_masks()")
        if self.steps is not None and self.epochs is not None:
            raise TrainError("epochs and steps both set the length: leave out one")
        for name in ("steps", "epochs"):
            length = getattr(self, name)
            if length is not None and length < 1:
                raise TrainError(f"{name} is {length}; it must be at least 1")
        if self.seed < 0:
            raise TrainError(f"seed is {self.seed}; it must be 0 or more")
        if self.decay is not None and not 0 <= self.decay < math.inf:
            raise TrainError(f"decay is {self.decay}; it must be 0 or more and finite")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise TrainError(f"lr is {self.lr}; it must be above 0 and finite")
        if self.lr is not None and not plan_for(self.method).trains:
            raise TrainError(f"lr is {self.lr}, but method {self.method} trains nothing")

    @property
    def folder(self) -> str:
        """Name of the run's folder, e.g. `bdwp-2of8-s0`."""
        pattern = "" if self.method == "dense" else "-" + self.pattern.replace(":", "of")
        numerics = "" if self.numerics == "torch" else f"-{self.numerics}"
        return f"{self.method}{pattern}{numerics}-s{self.seed}"

    @property
    def dense(self) -> "RunConfig":
        """The dense run of the same task, seed and steps, with the task's own learning rate."""
        return replace(self, method="dense", decay=None, lr=None, options={})

    def nm_config(self, exclude: Sequence[str] | None = None, total_steps: int = 1) -> NMConfig:
        """What `prepare` takes, for a model that leaves out `exclude` in a run of `total_steps`."""
        pattern = NMPattern.parse(self.pattern)
        drawn = {"seed": self.seed} if hasattr(METHODS.get(self.method), "seed") else {}
        return NMConfig(
            method=self.method,
            n_keep=pattern.n_keep,
            m=pattern.m,
            decay=self.decay,
            exclude=exclude,
            numerics=self.numerics,
            total_steps=total_steps,
            options={**plan_for(self.method).options, **drawn, **self.options},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, equal for equal runs."""
        values = asdict(self)
        return values | {"pattern": None} if self.method == "dense" else values
