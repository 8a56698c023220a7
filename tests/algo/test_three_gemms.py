"""The autograd function: each GEMM with its own operand, checked against plain autograd."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo import NMConfig, prepare
from sparsat.algo.methods.base import IN, OUT
from sparsat.algo.patterns import NMPattern

PATTERN = NMPattern(2, 8)


def oracle(layer: Any, x: Tensor, weight: Tensor) -> Tensor:
    """BDWP from autograd alone: dx through the backward weight, dw through the forward one."""
    wf = weight + (PATTERN.prune(weight, IN) - weight).detach()
    wb = PATTERN.prune(weight, OUT).detach()

    def run(x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(layer, nn.Linear):
            return F.linear(x, w, bias)
        return layer._conv_forward(x, w, bias)

    backward = run(x, wb, None)
    return run(x.detach(), wf, layer.bias) + backward - backward.detach()


LAYERS = {
    "linear": (lambda: nn.Linear(16, 24), (3, 16)),
    "linear-3d": (lambda: nn.Linear(16, 24, bias=False), (2, 3, 16)),
    "conv": (lambda: nn.Conv2d(8, 16, 3, padding=1), (2, 8, 6, 5)),
    "strided": (lambda: nn.Conv2d(16, 8, 3, stride=2, padding=1), (2, 16, 7, 6)),
    "dilated": (lambda: nn.Conv2d(8, 8, (3, 2), dilation=(2, 1), bias=False), (2, 8, 7, 6)),
    "same": (lambda: nn.Conv2d(8, 8, (4, 3), padding="same"), (2, 8, 6, 5)),
    "reflect": (lambda: nn.Conv2d(8, 8, 3, padding=(1, 2), padding_mode="reflect"), (2, 8, 6, 5)),
    "unbatched": (lambda: nn.Conv2d(8, 8, 3), (8, 6, 5)),
}


@pytest.fixture(params=LAYERS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, shape = LAYERS[request.param]
    return make().double(), torch.randn(shape, dtype=torch.double, requires_grad=True)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_bdwp_equals_the_autograd_oracle(case: tuple[Any, Tensor]) -> None:
    layer, x = case
    parameters = list(layer.parameters())
    expected = oracle(layer, x, layer.weight)
    seed = torch.randn_like(expected)
    expected_grads = torch.autograd.grad(expected, [x, *parameters], seed)
    prepare(nn.Sequential(layer), NMConfig("bdwp", exclude=()))
    got = layer(x)
    grads = torch.autograd.grad(got, [x, *parameters], seed)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(grads, expected_grads)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_gradcheck_where_both_operands_are_the_weight(case: tuple[Any, Tensor]) -> None:
    layer, x = case
    prepare(nn.Sequential(layer), NMConfig("fixed", exclude=()))
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x), (x, *layer.parameters()), fast_mode=True
    )


def test_gradient_reaches_pruned_entries_and_bias_sees_all() -> None:
    layer: Any = nn.Linear(8, 8)
    handle = prepare(nn.Sequential(layer), NMConfig("bdwp", exclude=()))
    layer(torch.ones(4, 8)).sum().backward()
    assert all(torch.equal(p.grad, torch.full_like(p, 4.0)) for p in layer.parameters())
    assert handle.export_masks()["0.weight"].sum() == 16


def test_no_gradient_is_made_for_an_input_that_needs_none() -> None:
    layer: Any = nn.Linear(8, 8)
    prepare(nn.Sequential(layer), NMConfig("bdwp", exclude=()))
    x = torch.ones(4, 8)
    layer(x).sum().backward()
    assert x.grad is None


def test_a_backward_after_step_is_refused() -> None:
    """The operands of a forward are overwritten by `step`, as parameters are by an optimizer."""
    layer: Any = nn.Linear(8, 8)
    handle = prepare(nn.Sequential(layer), NMConfig("bdwp", exclude=()))
    y = layer(torch.ones(4, 8, requires_grad=True)).sum()
    handle.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
