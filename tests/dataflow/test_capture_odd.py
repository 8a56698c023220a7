"""Captured steps of networks off the beaten track: each shows one thing capture must see."""

from pathlib import Path

import torch
from torch import Tensor, nn

from sparsat.algo import NMConfig, prepare
from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Conv, MatMul, Update, Vector
from sparsat.dataflow.models import load_model
from step_checks import check, gemms, kinds

ODD_NET = Path(__file__).parents[1] / "support" / "odd_net.py"


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
    step = capture(*load_model(f"{ODD_NET}:build", 3)[1]())
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


def test_relu_does_not_fuse_with_a_result_that_others_read() -> None:
    class Residual(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y + y.relu()

    step = capture(Residual(8, 8), torch.empty(4, 8))
    (work,) = (op.work for op in step.ops if op.name == "relu")
    assert isinstance(work, Vector)
    assert work.fusable_with is None


def test_gradients_of_slices_are_joined_not_padded_and_added() -> None:
    class Sliced(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y[:, :4] * y[:, 4:8] * y[:, 8:].sigmoid()

    step = capture(Sliced(8, 12), torch.empty(4, 8))
    check(step)
    assert "grad_add" not in kinds(step)
    (join,) = (op for op in step.ops if isinstance(op.work, Vector) and op.work.kind == "concat")
    assert isinstance(join.work, Vector)
    assert len(join.reads) == 3
    assert join.work.bytes_read == join.work.bytes_written == 2 * 4 * 12


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
    assert [tensor.name for tensor in step.tensors if tensor.role == "weight"] == ["table.weight"]
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


def test_operands_that_einsum_turns_lie_as_their_makers_wrote_them() -> None:
    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            q, k = (layer(x).unflatten(2, (2, 8)) for layer in (self.q, self.k))
            return torch.einsum("bihd,bjhd->bhij", q, k)

    step = capture(Scores(), torch.empty(3, 5, 16))
    products = [op.work for op in step.ops if isinstance(op.work, MatMul)]
    assert products == [
        MatMul(6, 5, 8, 5, b_transposed=True),
        MatMul(6, 5, 5, 8, a_transposed=True),
        MatMul(6, 5, 5, 8),
    ]


def test_frozen_layers_pass_gradients_on() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[1].requires_grad_(False)
    step = capture(net, torch.empty(2, 8))
    assert [op.name for op in step.ops if op.macs] == ["0/FF", "1/FF", "1/BP", "0/WU"]


def test_gradients_written_by_hand_find_their_layer() -> None:
    net = nn.Sequential(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten())
    net.append(nn.Linear(8 * 16, 8))
    prepare(net, NMConfig(method="bdwp", n_keep=2, m=8, exclude=()))
    step = capture(net, torch.empty(2, 8, 8, 8))
    names = ["0/FF", "2/FF", "4/FF", "4/BP", "4/WU", "2/BP", "2/WU", "0/WU"]
    assert [op.name for op in step.ops if op.macs] == names
    assert len([op for op in step.ops if isinstance(op.work, Update)]) == 6


def test_padding_that_copies_is_no_view() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"))
    step = capture(net, torch.empty(2, 3, 8, 8))
    check(step)
    (forward,) = gemms(step, "0", "FF")
    made = {name: op for op in step.ops for name in op.writes}
    assert made[forward.reads[0]].work.kind == "concat"  # type: ignore[union-attr]


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
