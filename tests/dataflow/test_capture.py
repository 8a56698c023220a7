"""Captured steps of known and odd networks against counts made by hand or published."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Conv, MatMul, Step, Update, Vector
from sparsat.dataflow.models import load_model
from step_checks import check, gemms, kinds

ODD_NET = Path(__file__).parents[1] / "support" / "odd_net.py"


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
    step = _step("vit", 4)
    check(step)
    assert [layer.name for layer in step.layers if layer.first] == ["patch_embed"]
    assert [layer.name for layer in step.layers if layer.head] == ["head"]
    attention = [op for op in step.ops if isinstance(op.work, MatMul)]
    assert [op.stage for op in attention].count("FF") == 24
    assert [op.stage for op in attention].count("BP") == 48
    assert attention[0].work == MatMul(batch=24, p=65, k=64, q=65)
    assert attention[1].work == MatMul(batch=24, p=65, k=65, q=64)
    assert kinds(step).count("softmax") == 12
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


def test_cross_attention_joins_the_gradients_of_slices_of_one_weight() -> None:
    step = capture(_Cross(), (torch.empty(3, 5, 8), torch.empty(3, 7, 16)))
    assert [op.work.macs for op in gemms(step, "attention.in_proj", "FF")] == [3840, 10752]  # type: ignore[union-attr]
    gradient = next(op for op in step.ops if "attention.in_proj_weight.grad" in op.writes)
    assert gradient.reads == ("attention.in_proj/WU", "attention.in_proj#2/WU")


def test_depthwise_and_dilated() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8, dilation=2, padding=2), nn.Conv2d(8, 4, 1)
    )
    step = capture(net, torch.empty(2, 3, 16, 16))
    check(step)
    conv = step.layer["1"].conv
    assert conv.depthwise
    assert conv.macs == 2 * 16 * 16 * 9 * 8
    assert (conv.groups, conv.dilation, conv.padding) == (8, (2, 2), (2, 2))


def test_odd_net() -> None:
    step = _step(f"{ODD_NET}:build", 3)
    check(step)
    assert step.batch == 3
    up = step.layer["up"].conv
    assert up == Conv(3, 1, 8, 12, 1, 16, 8, 1, 4, (1, 2), (0, 1), transposed=True)
    assert up.mirrored() == Conv(3, 1, 16, 8, 1, 8, 12, 1, 4, (1, 2), (0, 1))
    assert up.macs == up.mirrored().macs == 3 * 8 * 4 * 12 * 8
    assert [op.name for op in gemms(step, "twice", "FF", "WU")][:2] == ["twice/FF", "twice#2/FF"]
    assert {"embedding", "embedding_backward", "group_norm", "gelu", "concat"} <= set(kinds(step))
    assert not any("unused" in op.name for op in step.ops)


def test_relu_fuses_with_the_gemm_that_alone_feeds_it() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    step = capture(net, torch.empty(4, 8))
    fused = {op.name: op.work.fusable_with for op in step.ops if isinstance(op.work, Vector)}
    assert fused["1/relu"] == "0/FF"
    assert fused["1/relu_backward"] == "2/BP"


def test_relu_after_a_batch_norm_fuses_with_nothing(resnet18: Step) -> None:
    (work,) = (op.work for op in resnet18.ops if op.name == "relu/relu")
    assert isinstance(work, Vector)
    assert work.fusable_with is None


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 16), nn.Linear(16, 50, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.table(tokens))


def test_tied_weights_are_updated_once() -> None:
    step = capture(_Tied(), torch.zeros(3, 7, dtype=torch.long))
    check(step)
    (update,) = (op for op in step.ops if isinstance(op.work, Update))
    assert update.name == "table.weight/UPDATE"
    (total,) = (op for op in step.ops if "table.weight.grad" in op.writes)
    assert len(total.reads) == 2


def test_batched_weights_are_a_grouped_layer() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.Parameter(torch.zeros(4, 8, 16))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bed,edh->beh", x, self.experts)

    step = capture(Experts(), torch.empty(3, 4, 8))
    check(step)
    assert step.layer["experts"].conv == Conv(3, 1, 1, 32, 1, 1, 64, groups=4)


def test_frozen_layers_pass_gradients_on() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[1].requires_grad_(False)
    step = capture(net, torch.empty(2, 8))
    assert [op.name for op in step.ops if op.macs] == ["0/FF", "1/FF", "1/BP", "0/WU"]


def test_recurrent_layers_are_made_of_gemms() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(8, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0]

    step = capture(Recurrent(), torch.empty(2, 3, 8))
    assert not step.unmapped
    assert len(gemms(step, "cell.weight_hh_l0", "FF")) == 3


def test_unmapped_operations_are_named_with_their_share() -> None:
    class Volume(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv3d(2, 4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).mean((2, 3, 4)))

    step = capture(Volume(), torch.empty(2, 2, 5, 5, 5))
    shares = {each.kind: each for each in step.unmapped}
    assert shares["convolution3d"].ops == ("conv/convolution3d",)
    assert 0.4 < shares["convolution3d"].share < 0.5


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
        (_Peeks(8, 4), torch.empty(2, 8), "_Peeks does not trace: DataDependent"),
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
