"""A whole training run on a machine, and what it shows."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any

import torch
from torch import nn

from sparsat.algo.methods.bdwp import BDWP
from sparsat.algo.patterns import NMPattern
from sparsat.algo.tasks.base import Batch
from sparsat.algo.training.optimize import LOSS_SCALE, MOMENTUM, rate
from sparsat.hw.config import SATConfig
from sparsat.sim.training.compiled import compile_step
from sparsat.sim.training.digits import Digits
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.machine import Machine
from sparsat.sim.training.reference import torch_losses
from sparsat.sim.training.session import Record, Session

SCHEMA = 1
Watch = Callable[[int, Record], None]


@dataclass(frozen=True)
class Request:
    """What to train, and how: `lr` is the peak rate, None for the task's; `pattern` None is dense.

    Raises `ValueError` for what no run can be.
    """

    network: str
    pattern: tuple[int, int] | None = (2, 8)
    batch: int = 16
    steps: int = 40
    seed: int = 0
    lr: float | None = None

    def __post_init__(self) -> None:
        Digits(self.network, self.batch)
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to {2**32 - 1}")
        if self.lr is not None and not 0 < self.lr <= 100:
            raise ValueError(f"lr is {self.lr}; it must be above 0 and at most 100")

    @property
    def task(self) -> Digits:
        return Digits(self.network, self.batch)

    def model(self) -> nn.Module:
        """Freshly initialised; the global random state stays as it is."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self.task.model()

    def batches(self) -> Iterator[Batch]:
        task = self.task
        every = (batch for epoch in count() for batch in task.batches(self.seed, epoch))
        return islice(every, self.steps)

    def hypers(self) -> list[Hyper]:
        """The numbers of each step, by the recipe of the task."""
        recipe = self.task.recipe
        peak = self.lr or recipe.lr
        shares = (rate(step, self.steps, recipe.warmup) for step in range(self.steps))
        fixed = (MOMENTUM, recipe.weight_decay, BDWP().decay, LOSS_SCALE)
        return [Hyper(peak * share, *fixed) for share in shares]


@dataclass(frozen=True)
class Result:
    """Every step's record, and PyTorch's own loss; `compared` tensors were equal in each step."""

    request: Request
    config: SATConfig
    records: list[Record]
    torch_losses: list[float]
    accuracy: float
    compared: int
    weights: int

    def to_dict(self) -> dict[str, Any]:
        """Schema 1, plain data."""
        request = asdict(self.request)
        pattern = self.request.pattern
        steps = zip(self.request.hypers(), self.records, self.torch_losses, strict=True)
        return {
            "schema": SCHEMA,
            **request,
            "pattern": f"{pattern[0]}:{pattern[1]}" if pattern else "dense",
            "config": self.config.to_dict(),
            "bit_exact": True,
            "compared_tensors": self.compared,
            "weights": self.weights,
            "accuracy": self.accuracy,
            "log": [
                {"step": i, "rate": hyper.rate, **asdict(record), "torch_loss": loss}
                for i, (hyper, record, loss) in enumerate(steps)
            ],
        }


def run(request: Request, config: SATConfig, machine: Machine, watch: Watch) -> Result:
    """Train as `request` says; `watch` is told every step.

    Raises `Mismatch` where the machine and the golden model differ, `ValueError` where the network
    does not fit `config`.
    """
    model, loss = request.model(), nn.CrossEntropyLoss()
    x, y = next(request.batches())
    compiled = compile_step(config, model, (x,), (y,), loss, request.pattern)
    session = Session(compiled, model, machine)
    hypers = request.hypers()
    records = []
    for step, (batch, hyper) in enumerate(zip(request.batches(), hypers, strict=True)):
        records.append(session.step(batch, hyper))
        if not math.isfinite(records[-1].loss):
            raise ValueError(f"the loss of step {step} is not finite: a smaller lr may help")
        watch(step, records[-1])
    pattern = NMPattern(*request.pattern) if request.pattern else None
    trained = copy.deepcopy(model)
    trained.load_state_dict(session.pruned())
    accuracy = request.task.evaluate(trained, torch.device("cpu"))["accuracy"]
    weights = sum(value.numel() for value in session.host.parameters().values())
    own = torch_losses(model, loss, pattern, request.batches(), hypers)
    return Result(request, config, records, own, accuracy, len(session.compared), weights)
