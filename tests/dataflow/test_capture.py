"""Captured steps of known and odd networks against counts made by hand or published."""

import pytest
import torch
from torch import Tensor, nn

from sparsat.algo.models.vit import ViT
from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Conv, MatMul, Step, Update, Vector
from sparsat.dataflow.models import load_model
from step_checks import check, gemms, kinds


@pytest.fixture(scope="module")
def resnet18() -> Step:
    return _step("resnet18@224", 2)


def _step(spec: str, batch: int) -> Step:
    name, factory = load_model(spec, batch)
    return capture(*factory(), name=name)


def test_resnet18_has_its_published_macs(resnet18: Step) -> None:
    check(resnet18)
    assert resnet18.macs("FF") == 2 * 1_814_073_344
    assert resnet18.macs("WU") == resnet18.macs("FF")
    assert resnet18.macs("BP") == resnet18.macs("FF") - resnet18.layer["conv1"].conv.macs
    assert len(resnet18.layers) == 21


def test_resnet18_marks_its_ends(resnet18: Step) -> None:
    assert [layer.name for layer in resnet18.layers if layer.first] == ["conv1"]
    assert [layer.name for layer in resnet18.layers if layer.head] == ["fc"]
    assert not resnet18.unmapped


def test_resnet18_has_its_vector_operations(resnet18: Step) -> None:
    found = kinds(resnet18)
    expected = {"batch_norm": 20, "relu": 17, "add": 8, "max_pool": 1, "mean": 1, "grad_add": 8}
    for kind, count in expected.items():
        assert found.count(kind) == count, kind
    for kind in ("batch_norm", "relu", "max_pool"):
        assert found.count(f"{kind}_backward") == found.count(kind)
    assert len([op for op in resnet18.ops if isinstance(op.work, Update)]) == 62


def test_vector_bytes_of_a_residual_addition(resnet18: Step) -> None:
    (work,) = (op.work for op in resnet18.ops if op.name == "layer1.0/add")
    assert isinstance(work, Vector)
    elements = 2 * 64 * 56 * 56
    assert (work.elements, work.bytes_read, work.bytes_written) == (
        elements,
        4 * elements,
        2 * elements,
    )


def test_strided_convolution(resnet18: Step) -> None:
    expected = Conv(2, 56, 56, 64, 28, 28, 128, 3, 3, (2, 2), (1, 1))
    works = [op.work for op in gemms(resnet18, "layer2.0.conv1", "FF", "BP", "WU")]
    assert works == [expected] * 3


@pytest.mark.parametrize(
    ("spec", "macs"),
    [("resnet50", 4_089_184_256), ("vgg19@224", 19_632_062_464), ("vgg19", 398_182_400)],
)
def test_published_macs(spec: str, macs: int) -> None:
    step = _step(spec, 512)
    check(step)
    assert step.macs("FF") == 512 * macs


def test_vision_transformer() -> None:
    step = capture(ViT(100, 32, depth=2), torch.empty(4, 3, 32, 32))
    check(step)
    assert [layer.name for layer in step.layers if layer.first] == ["patch_embed"]
    assert [layer.name for layer in step.layers if layer.head] == ["head"]
    attention = [op for op in step.ops if isinstance(op.work, MatMul)]
    assert [op.stage for op in attention].count("FF") == 4
    assert [op.stage for op in attention].count("BP") == 8
    assert attention[0].work == MatMul(batch=24, p=64, k=64, q=64, b_transposed=True)
    assert attention[1].work == MatMul(batch=24, p=64, k=64, q=64)
    assert kinds(step).count("softmax") == 2
    assert not step.unmapped


def test_attention_of_the_library_is_taken_apart() -> None:
    step = capture(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), torch.empty(2, 5, 32))
    check(step)
    names = [layer.name for layer in step.layers]
    assert names == ["self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2"]
    assert sum(isinstance(op.work, MatMul) for op in step.ops) == 6
    assert {"softmax", "dropout", "layer_norm", "bias_add"} <= set(kinds(step))


class _Cross(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.embed = nn.Linear(8, 16)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.attention(self.embed(x), memory, memory)[0]


def test_slices_of_one_weight_are_layers_of_their_own() -> None:
    step = capture(_Cross(), (torch.empty(3, 5, 8), torch.empty(3, 7, 16)))
    check(step)
    slices = [layer for layer in step.layers if layer.weight == "attention.in_proj_weight"]
    assert [layer.name for layer in slices] == ["attention.in_proj[0]", "attention.in_proj[1]"]
    assert [layer.conv.macs for layer in slices] == [3840, 10752]
    gradient = next(op for op in step.ops if "attention.in_proj_weight.grad" in op.writes)
    assert gradient.reads == ("attention.in_proj[0]/WU", "attention.in_proj[1]/WU")


def test_relu_after_a_batch_norm_fuses_with_nothing(resnet18: Step) -> None:
    (work,) = (op.work for op in resnet18.ops if op.name == "relu/relu")
    assert isinstance(work, Vector)
    assert work.fusable_with is None


def test_a_loss_of_ones_own() -> None:
    net = nn.Linear(8, 4)
    step = capture(net, torch.empty(2, 8), loss=lambda y: (y - 1).square().sum())
    assert "log_softmax" not in kinds(step)
    check(step)


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Dropout()).eval()
    capture(net, torch.empty(2, 8))
    assert not any(module.training for module in net.modules())
    assert not any(module._forward_hooks for module in net.modules())
    assert net[0].weight.grad is None


class _Peeks(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum().item() > 0 else x


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (nn.Linear(8, 4), torch.empty(0, 8), "batch must be at least 1"),
        (nn.Linear(8, 4), (), r"must begin with a tensor \[batch"),
        (nn.ReLU(), torch.empty(2, 8), "nothing to train"),
        (
            nn.Linear(8, 4),
            torch.empty(2, 7),
            "Linear does not trace: RuntimeError: .*reduction dim",
        ),
        (
            _Peeks(8, 4),
            torch.empty(2, 8),
            r"trace at test_capture.py:\d+: it asks for the value",
        ),
        (nn.Embedding(8, 4), torch.empty(2, 8), "Embedding does not trace"),
    ],
)
def test_bad_models_get_one_line(
    model: nn.Module, example: Tensor, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        capture(model, example)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
