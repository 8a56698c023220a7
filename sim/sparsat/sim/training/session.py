"""Steps of training on a machine, each held to the golden model bit by bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsat.sim.training.compiled import Compiled
from sparsat.sim.training.golden import Golden
from sparsat.sim.training.host import Host
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.machine import Machine


class Mismatch(RuntimeError):
    """The machine computed something else than the golden model."""


@dataclass(frozen=True)
class Record:
    """One step: the loss before it, and whether gradients overflowed."""

    loss: float
    overflow: bool


class Session:
    """Trains `model`, which stays as it is, on `machine` and by the golden model at once.

    Members
    -------
    compared : names of all tensors that were compared so far.
    """

    def __init__(self, compiled: Compiled, model: nn.Module, machine: Machine) -> None:
        self.compiled, self.model = compiled, model
        self.host = Host(compiled, model, machine)
        self.golden = Golden(compiled.graph, compiled.patterns(), model)
        self.compared: set[str] = set()
        self.steps = 0

    def step(self, batch: Sequence[Tensor], hyper: Hyper) -> Record:
        """One step on inputs and targets.

        Compared are all tensors that the host reads or writes, and after the step gradients,
        weights, momentum and buffers. Raises `Mismatch` at the first that differs.
        """
        expected, overflow = self.golden.step(batch, hyper)
        found = Record(*self.host.step(batch, hyper, self._compare))
        self._compare_all("gradient", self.host.gradients(), self.golden.gradients)
        self._compare_all("momentum", self.host.momentum(), self.golden.momentum)
        self._compare_all("buffer", self.host.buffers, self.golden.buffers)
        self._compare_all("weight", self.host.parameters(), self.golden.parameters)
        self._check("the loss", torch.tensor(found.loss), torch.tensor(expected))
        if found.overflow != overflow:
            raise Mismatch(f"step {self.steps}: overflow {found.overflow}, expected {overflow}")
        self.steps += 1
        return found

    @torch.no_grad()
    def pruned(self) -> dict[str, Tensor]:
        """What inference takes: the weights of the machine, pruned as in the forward pass."""
        state = self.host.parameters() | self.host.buffers
        for name, pattern in self.compiled.patterns().items():
            state[name] = pattern.prune(state[name].half(), 1).float()
        return state

    def _compare_all(self, what: str, got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        for name, value in got.items():
            self._check(f"{what} {name}", value, expected[name])

    def _compare(self, name: str, value: Tensor) -> None:
        self._check(f"tensor {name}", value, self.golden.tensors[name])

    def _check(self, name: str, got: Tensor, expected: Tensor) -> None:
        """By bits, but that every NaN is one."""
        self.compared.add(name)
        same = (got == expected) & (torch.signbit(got) == torch.signbit(expected))
        same |= got.isnan() & expected.isnan()
        if bool(same.all()):
            return
        wrong = torch.nonzero(~same)
        first = tuple(wrong[0].tolist())
        raise Mismatch(
            f"step {self.steps}: {len(wrong)} of {same.numel()} elements of {name} differ, first "
            f"at {list(first)}: {got[first].item()!r}, expected {expected[first].item()!r}"
        )
