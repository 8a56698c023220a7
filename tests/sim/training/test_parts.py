"""The parts of training on the machine: places, codes, updates, and what is refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.ir import Vector
from sparsat.hw.config import preset
from sparsat.hw.formats import BF16
from sparsat.hw.isa.instructions import Halt, Update
from sparsat.sim.training.compiled import Compiled, compile_step
from sparsat.sim.training.golden import Golden
from sparsat.sim.training.graph import lower_step, trace_step
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.places import Place, code_of

TINY = preset("tiny")
IMAGES, LABELS = torch.randn(4, 1, 8, 8), torch.arange(4)


def compiled(model: nn.Module, config=TINY, images: Tensor = IMAGES) -> Compiled:
    return compile_step(config, model, (images,), (LABELS,), nn.CrossEntropyLoss(), (2, 8))


def test_a_place_holds_a_tensor_in_its_order() -> None:
    memory = np.full(64, 255, np.uint8)
    order = np.array([3, 0, 1, 2, 2, 0])
    place = Place(16, np.float16, (2, 2), order)
    place.put(memory, torch.tensor([[1.0, 2.0 + 2**-11], [-3.0, 4.0]]))
    assert memory[16:28].view(np.float16).tolist() == [-3, 0, 1, 2, 2, 0]  # a tie goes to even
    assert place.get(memory).tolist() == [[1, 2], [-3, 0]]
    assert (memory[:16] == 255).all()
    assert (memory[28:] == 255).all()


@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 3), (1, 2), 1, dilation=(2, 1))],
)
def test_positions_of_a_maximum_are_bytes_within_their_window(pool: nn.MaxPool2d) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), pool, nn.Flatten(), nn.LazyLinear(10))
    model(IMAGES)
    graph = lower_step(trace_step(model, (IMAGES,), (LABELS,), nn.CrossEntropyLoss()), model, 4)
    (name,) = (name for name in graph.made if name.endswith("max_pool.1"))
    code = code_of(graph.step.tensor[name], graph.nodes[name])
    pool.return_indices = True
    _, positions = pool(torch.randn(4, 4, 6, 6))
    kernel = pool.kernel_size if isinstance(pool.kernel_size, tuple) else (pool.kernel_size,) * 2
    inside = code.to_memory(positions)
    assert 0 <= inside.min() < inside.max() < kernel[0] * kernel[1]
    assert torch.equal(code.from_memory(inside), positions)


def test_hyperparameters_reach_every_update() -> None:
    hyper = Hyper(0.5, 0.25, 0.125, 1.0, 2.0)
    first, halt = hyper.program([Update(), Halt()])
    assert isinstance(first, Update)
    assert isinstance(halt, Halt)
    fields = ("rate", "momentum_factor", "decay", "masked_decay", "inverse_scale")
    bits = [np.uint32(getattr(first, name)).view(np.float32) for name in fields]
    assert bits == [0.5, 0.25, 0.125, 1.0, 0.5]


def test_the_golden_update_is_momentum_sgd_in_float32() -> None:
    """docs/isa.md's five lines, each in PyTorch's float32."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Linear(24, 16), nn.Linear(16, 10))
    step = compiled(model)
    golden = Golden(step.graph, step.patterns(), model)
    name, hyper = "2.weight", Hyper(0.1, 0.9, 5e-4, 2e-4, 2.0**10)
    assert golden.patterns[name] == NMPattern(2, 8)
    w = golden.parameters[name]
    v, g = (1e3 * torch.randn(w.shape) for _ in range(2))
    golden.momentum, golden.gradients = {**golden.momentum, name: v}, {name: g}
    golden._update(name, hyper)
    dropped = ~NMPattern(2, 8).mask(w.half(), 1)
    g = g * 2.0**-10
    g = torch.where(dropped, g + w * 2e-4, g)
    g = g + w * 5e-4
    v = v * 0.9 + g
    assert torch.equal(golden.momentum[name], v)
    assert torch.equal(golden.parameters[name], w - v * 0.1)


class Forked(nn.Module):
    """Two slices of a layer's result that are multiplied: each needs a place of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(8, 32), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.layer(x[:, 0]).chunk(2, -1)
        return self.head((a @ b.transpose(1, 2)).mean(1))


def test_operands_are_copied_where_they_lie_otherwise_than_needed() -> None:
    step = compiled(Forked()).graph.step
    copies = [op for op in step.ops if isinstance(op.work, Vector) and op.work.kind == "copy"]
    assert len(copies) == 2
    layers = nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten()
    step = compiled(nn.Sequential(*layers, nn.Linear(256, 10))).graph.step
    assert not any(isinstance(op.work, Vector) and op.work.kind == "copy" for op in step.ops)


def test_biases_are_the_hosts() -> None:
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.Flatten(), nn.Linear(576, 10))
    step = compiled(model).graph.step
    products = [op for op in step.ops if op.macs]
    assert not any(name.endswith("bias") for op in products for name in op.reads)
    sums = [op.work.kind for op in step.ops if isinstance(op.work, Vector)]
    assert sums.count("bias_grad") == 2


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight = self.a.weight
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.b(F.relu(self.a(x[:, 0]))).flatten(1))


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(576, 10))
    model[1].weight.requires_grad_(False)
    return model


def normed() -> nn.Module:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(64, 10))
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)), "random numbers"),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 6, groups=4), nn.Flatten(),
                                  nn.Linear(16, 10)),
            "1/FF: grouped and transposed layers",
        ),
        (Tied, "parameter a.weight is tied"),
        (frozen, "parameter 1.weight is read by 1/batch_norm, but not trained"),
        (normed, "has weights that are not trained as they are"),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 16, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
                                  nn.Linear(16, 10)),
            "max_pool.1: its positions do not fit a byte",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(build, message: str) -> None:
    from sparsat.sim.training.host import Host
    from sparsat.sim.training.machine import FunctionalMachine

    model = build()
    with pytest.raises(ValueError, match=message):
        Host(compiled(model), model, FunctionalMachine(TINY))


def test_operands_must_be_fp16() -> None:
    with pytest.raises(ValueError, match="config tiny has operands of bf16, not fp16"):
        compiled(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), TINY.with_(fmt=BF16))
