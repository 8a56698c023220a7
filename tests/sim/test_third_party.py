"""Networks that others wrote, where their packages are installed: captured, scheduled, timed."""

import pytest
import torch
from torch import Tensor, nn

from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import MatMul
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.isa.semaphores import check_semaphores
from sparsat.hw.isa.validate import validate
from sparsat.sim.boards import board
from sparsat.sim.simulate import simulate_once
from step_checks import check

IMAGES = torch.empty(2, 3, 224, 224)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("mobilenetv2", "mobilenetv2_w1"),  # depthwise convolutions
        ("seresnet", "seresnet18"),  # squeeze and excitation
        ("shufflenetv2", "shufflenetv2_w1"),  # channels split and shuffled
    ],
)
def test_image_networks(family: str, name: str) -> None:
    net = getattr(pytest.importorskip(f"pytorchcv.models.{family}"), name)()
    layers = [each for each in net.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    assert runs(net, IMAGES) == (len(layers), 0)


def tokens(length: int) -> Tensor:
    return torch.zeros(2, length, dtype=torch.long)


@pytest.mark.parametrize(
    ("network", "config", "x"),
    [
        ("ViTForImageClassification", {"num_hidden_layers": 1}, IMAGES),
        ("BertForSequenceClassification", {"num_hidden_layers": 1}, tokens(512)),
        ("GPT2LMHeadModel", {"n_layer": 1}, tokens(1024)),
    ],
)
def test_transformers(network: str, config: dict[str, int], x: Tensor) -> None:
    """At full length, all six products of attention on the array."""
    family = getattr(pytest.importorskip("transformers"), network)
    layers, products = runs(family(family.config_class(**config)), x)
    assert layers >= 4
    assert products == 6


def runs(net: nn.Module, x: Tensor) -> tuple[int, int]:
    """Checks a step and its program; how many layers it has, and products of two activations."""
    step = capture(net, x)
    check(step)
    assert step.unmapped == ()
    timed = simulate_once(step, board("vcu1525"), SCHEDULES["optimal"], (2, 8))
    scheduled = timed.scheduled
    validate(timed.config, scheduled.program, scheduled.memory_bytes)
    check_semaphores(scheduled.program)
    assert sum(op["cycles"] for op in timed.ops()) == timed.cycles
    assert 0 < timed.totals()["gemm_utilization"] <= 1
    return len(step.layers), sum(isinstance(op.work, MatMul) for op in step.ops)
