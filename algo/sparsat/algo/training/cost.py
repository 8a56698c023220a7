"""How many multiply-accumulates a training step takes, by the cost model of N:M hardware.

A layer's step is three GEMMs of equal size: forward (FF), backward (BP) and weight update (WU). On
hardware that skips pruned operands each costs the dense count times the share its method leaves:
BDWP at 2:8 leaves 1/4, 1/4 and 1. Only pruning along the GEMM's own reduction axis counts. The
first layer needs no BP, attention products have no WU. Everything else (norms, activations, the
optimizer, selecting the kept weights) is outside this count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
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
    """Count the dense MACs of a step of `model` on `inputs`; leaves the model as it was."""
    layers: dict[str, StageMacs] = {}

    def count(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            macs = output.numel() * _reduction(module)
            layers[f"{name}.weight"] = StageMacs(macs, macs if args[0].requires_grad else 0, macs)

        return hook

    hooks = [
        module.register_forward_hook(count(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with FlopCounterMode(display=False) as counter, torch.enable_grad():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
    other = counter.get_total_flops() // 2 - sum(macs.ff for macs in layers.values())
    return StepCost(layers, StageMacs(other, 2 * other, 0))


def _reduction(module: nn.Module) -> int:
    """Length of the forward GEMM's reduction: inputs of one output."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight[0].numel()
