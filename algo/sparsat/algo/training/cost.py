"""How many multiply-accumulates a training step takes, by the cost model of N:M hardware.

A layer's step is three GEMMs of equal size: forward (FF), backward (BP) and weight update (WU). On
hardware that skips pruned operands each costs the dense count times the share its method leaves:
BDWP at 2:8 leaves 1/4, 1/4 and 1. Only pruning along the GEMM's own reduction axis counts. The
first layer needs no BP, attention products have no WU. Everything else (norms, activations, the
optimizer, selecting the kept weights) is outside this count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class StageMacs:
    """Dense MACs of one batch in each stage."""

    ff: int
    bp: int
    wu: int


@dataclass(frozen=True)
class StepCost:
    """Dense MACs of one training step: by weight name, and of products without weights."""

    layers: dict[str, StageMacs]
    other: StageMacs

    def step(self, shares: Mapping[str, Mapping[str, float]]) -> float:
        """MACs of a step where weight `n` is left `shares[n]["FF"|"BP"|"WU"]` of its dense MACs.

        Layers without an entry are dense; so `step({})` is the dense step.
        """
        total = float(self.other.ff + self.other.bp + self.other.wu)
        for name, macs in self.layers.items():
            share = shares.get(name, {})
            total += macs.ff * share.get("FF", 1.0)
            total += macs.bp * share.get("BP", 1.0)
            total += macs.wu * share.get("WU", 1.0)
        return total

    def forward(self) -> float:
        """MACs of a dense forward pass."""
        return float(self.other.ff + sum(macs.ff for macs in self.layers.values()))


def measure(model: nn.Module, inputs: Tensor) -> StepCost:
    """Count the dense MACs of a step of `model` on `inputs`; leaves the model as it was.

    Every product that runs counts, with the shapes it has there, so a layer that is used twice
    costs twice. Attention is computed as its two products while counting.
    """
    counter = _Counter(model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), counter:
            model(inputs)
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
    return StepCost(counter.layers, StageMacs(counter.other, 2 * counter.other, 0))


class _Counter(TorchDispatchMode):
    """Adds up the MACs of all matrix products and convolutions, by the weight they read.

    A weight is known by its memory: parts and transposed views of it count as it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = {_memory(p): name for name, p in model.named_parameters() if p.ndim >= 2}
        self.formulas = FlopCounterMode(display=False).flop_registry
        self.layers: dict[str, StageMacs] = {}
        self.other = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = self.formulas.get(func.overloadpacket)
        if formula is not None:
            self._add(args, formula(*args, **kwargs, out_val=out) // 2)
        return out

    def _add(self, args: tuple[Any, ...], macs: int) -> None:
        """Count a product of two of `args`; a third, the bias, is a vector."""
        operands = [a for a in args if isinstance(a, Tensor) and a.ndim >= 2]
        weight = next((a for a in operands if _memory(a) in self.names), None)
        if weight is None:
            self.other += macs
            return
        name = self.names[_memory(weight)]
        bp = macs if any(a.requires_grad for a in operands if a is not weight) else 0
        old = self.layers.get(name, StageMacs(0, 0, 0))
        self.layers[name] = StageMacs(old.ff + macs, old.bp + bp, old.wu + macs)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
