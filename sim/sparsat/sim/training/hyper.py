"""The numbers of one optimizer step, and the program that takes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsat.hw.isa.instructions import Instruction, Update


@dataclass(frozen=True)
class Hyper:
    """Momentum SGD as UPDATE does it (docs/isa.md), on gradients of `scale` times the loss.

    `masked_decay` is λ of the SR-STE term, for weights that are pruned.
    """

    rate: float
    momentum: float
    decay: float
    masked_decay: float
    scale: float

    def program(self, program: Sequence[Instruction]) -> list[Instruction]:
        """`program` with these numbers in its updates."""
        fields = {
            "rate": self.rate,
            "momentum_factor": self.momentum,
            "decay": self.decay,
            "masked_decay": self.masked_decay,
            "inverse_scale": 1 / self.scale,
        }
        bits = {name: int(np.float32(value).view(np.uint32)) for name, value in fields.items()}
        return [replace(each, **bits) if isinstance(each, Update) else each for each in program]
