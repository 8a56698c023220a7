"""MACs of a step are counted per product, with its own shapes."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.training import cost
from tiny_task import train


def test_macs_of_a_step() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 10))
    step = cost.measure(model, torch.zeros(2, 3, 4, 4))
    conv, linear = 2 * 16 * 8 * 27, 2 * 10 * 128
    assert step.layers["0.weight"] == cost.StageMacs(conv, 0, conv)
    assert step.layers["2.weight"] == cost.StageMacs(linear, linear, linear)
    assert step.step({}) == 2 * conv + 3 * linear
    share = {"FF": 0.25, "BP": 0.25, "WU": 1.0}
    assert step.step({"2.weight": share}) == 2 * conv + 1.5 * linear


def test_attention_products_are_counted() -> None:
    from sparsat.algo.models.transformer import Attention

    n, t, dim = 2, 5, 8
    step = cost.measure(Attention(dim, 2, causal=False), torch.zeros(n, t, dim))
    assert step.other == cost.StageMacs(2 * n * t * t * dim, 4 * n * t * t * dim, 0)


@pytest.mark.parametrize("need_weights", [True, False])
def test_projections_of_attention_are_its_weights(need_weights: bool) -> None:
    n, t, dim = 2, 5, 8

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(dim, dim)
            self.mix = nn.MultiheadAttention(dim, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.mix(x, x, x, need_weights=need_weights)[0]

    step = cost.measure(Net(), torch.zeros(n, t, dim))
    inner, out = 3 * n * t * dim * dim, n * t * dim * dim
    assert step.layers == {
        "first.weight": cost.StageMacs(out, 0, out),
        "mix.in_proj_weight": cost.StageMacs(inner, inner, inner),
        "mix.out_proj.weight": cost.StageMacs(out, out, out),
    }
    assert step.other == cost.StageMacs(2 * n * t * t * dim, 4 * n * t * t * dim, 0)


def test_cross_attention_counts_each_part_with_its_own_length() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    queries, keys = torch.zeros(1, 3, 8), torch.zeros(1, 5, 8)
    attention.forward = partial(attention.forward, key=keys, value=keys)  # type: ignore[method-assign]
    step = cost.measure(attention, queries)
    assert step.layers["in_proj_weight"].ff == (3 + 5 + 5) * 64


def test_a_layer_that_is_used_twice_costs_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x).repeat(3, 1))

    step = cost.measure(Twice(), torch.zeros(2, 8))
    once, again = 2 * 64, 6 * 64
    assert step.layers == {
        "layer.weight": cost.StageMacs(once + again, again, once + again),
    }
    assert step.other == cost.StageMacs(0, 0, 0)


def test_measuring_leaves_the_model_alone() -> None:
    model = ResNet9(2, channels=1, widths=(8, 8, 8, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost.measure(model, torch.randn(2, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_bdwp_at_2_8_saves_about_half(tmp_path: Path) -> None:
    result = train(tmp_path)
    assert 0.5 < result["macs"] / result["dense_macs"] < 0.65


@pytest.mark.parametrize("method", ["pdp", "dense"])
def test_soft_masks_save_nothing_in_training(method: str, tmp_path: Path) -> None:
    result = train(tmp_path, method, steps=2)
    assert result["macs"] == result["dense_macs"]
