"""Training through the machine: bit-equal to the golden model, close to PyTorch."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.patterns import NMPattern
from sparsat.hw.config import SATConfig, preset
from sparsat.sim.machine import Timing
from sparsat.sim.training.compiled import compile_step
from sparsat.sim.training.digits import NETWORKS, Digits
from sparsat.sim.training.hardware import HardwareMachine
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.machine import FunctionalMachine
from sparsat.sim.training.reference import torch_losses
from sparsat.sim.training.session import Mismatch, Session
from sparsat.sim.verify.compare import Case

HYPER = Hyper(rate=0.05, momentum=0.9, decay=5e-4, masked_decay=2e-4, scale=2.0**10)
TINY = preset("tiny")
LOSS = nn.CrossEntropyLoss()


class Attentive(nn.Module):
    """Three heads of 8 channels, which are padded; queries, keys and values are slices."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.norm = nn.Linear(8, 24), nn.LayerNorm(24)
        self.attention = nn.MultiheadAttention(24, 3, batch_first=True)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.into(x[:, 0]))
        return self.head((y + self.attention(y, y, y)[0]).amax(1))


class Odd(nn.Module):
    """Strides beyond the kernel, flattened images, a layer used twice, weights on the left, a
    product of an activation with itself, an embedding, a convolution in one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 20, 3, stride=2), nn.Conv2d(20, 24, 1, stride=2)
        self.flat, self.twice = nn.Linear(96, 40), nn.Linear(40, 40)
        self.left = nn.Parameter(0.1 * torch.randn(48, 40))
        self.table, self.line = nn.Embedding(20, 8), nn.Conv1d(8, 16, 3, padding=1)
        self.head = nn.Linear(48, 10)
        self.other = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.flat(F.relu(self.second(self.first(x))).flatten(1)))
        y = y + F.relu(self.twice(y))
        y = y + F.relu(self.twice(y))
        tokens = ((x[:, 0, 0, :6] + 1) * 8).round().long()
        line = self.line(self.table(tokens).transpose(1, 2))
        gram = line.transpose(1, 2) @ line
        return self.head((self.left @ y.T).T) + self.other(gram.mean(1))


class Loud(nn.Module):
    """One branch counts 64 times: so do its gradients, which are the first to overflow."""

    def __init__(self) -> None:
        super().__init__()
        self.quiet, self.loud = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.quiet(x) + 64 * self.loud(x)


NETS: dict[str, Callable[[], nn.Module]] = {
    **NETWORKS,
    "resnet9": lambda: ResNet9(10, channels=1, widths=(16, 16, 16, 16)),
    "attentive": Attentive,
    "odd": Odd,
    "loud": Loud,
}


def started(net: str, config=TINY, pattern=(2, 8), machine=None, batch=8) -> tuple[Session, list]:
    """A session on `net`, and batches for it."""
    torch.manual_seed(0)
    model, batches = NETS[net](), list(Digits("cnn", batch).batches(0, 0))
    (x, y), *_ = batches
    compiled = compile_step(config, model, (x,), (y,), LOSS, pattern)
    return Session(compiled, model, machine or FunctionalMachine(config)), batches


@pytest.mark.parametrize("net", [*NETWORKS, "resnet9", "attentive", "odd"])
def test_every_step_equals_the_golden_model(net: str) -> None:
    session, batches = started(net)
    before = session.host.parameters()
    losses = [session.step(batch, HYPER).loss for batch in batches[:3]]
    assert len(set(losses)) > 1
    after = session.host.parameters()
    assert after.keys() == dict(session.model.named_parameters()).keys()
    for name, value in after.items():
        assert torch.equal(value, session.golden.parameters[name])
        assert not torch.equal(value, before[name]), name
    products_alone = {f"tensor {name}" for name in session.compiled.graph.made} - session.compared
    readers = {name for op in session.compiled.graph.step.ops for name in op.reads if op.macs}
    updated = {name for op in session.compiled.graph.step.ops for name in op.reads if not op.macs}
    for tensor in products_alone:  # what only products and updates read
        assert tensor.removeprefix("tensor ") in readers | updated
    assert len(session.compared) > 3 * len(after)
    assert len(session.compiled.patterns()) >= 2


@pytest.mark.parametrize(("config", "pattern"), [("small", (2, 4)), ("tiny", None)])
def test_other_machines_and_patterns(config: str, pattern: tuple[int, int] | None) -> None:
    for net in NETWORKS:
        session, batches = started(net, preset(config), pattern)
        session.step(batches[0], HYPER)
        session.step(batches[1], HYPER)
        patterns = set(session.compiled.patterns().values())
        assert patterns == ({NMPattern(*pattern)} if pattern else set())


def test_losses_fall_as_in_pytorchs_own_training() -> None:
    session, batches = started("cnn", batch=16)
    hypers = [replace(HYPER, rate=0.02)] * 25
    found = [session.step(*each).loss for each in zip(batches, hypers, strict=False)]
    own = torch_losses(session.model, LOSS, NMPattern(2, 8), iter(batches), hypers)
    assert np.mean(found[-5:]) < 0.7 * np.mean(found[:5])
    np.testing.assert_allclose(found[:10], own[:10], atol=0.02)
    np.testing.assert_allclose(found, own, atol=0.2)


@pytest.mark.parametrize("made", [FunctionalMachine, HardwareMachine])
def test_one_overflowing_gradient_leaves_all_weights_alone(made: type) -> None:
    session, batches = started("loud", machine=made(TINY))
    before = session.host.parameters()
    record = session.step(batches[0], replace(HYPER, scale=2.0**15))
    assert record.overflow
    assert np.isfinite(record.loss)
    after = session.host.parameters()
    finite = {bool(g.isfinite().all()) for g in session.golden.gradients.values()}
    assert finite == {False, True}
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert not session.step(batches[1], HYPER).overflow
    moved = session.host.parameters()
    assert not any(torch.equal(moved[name], before[name]) for name in moved)


@pytest.fixture(scope="module")
def hardware() -> HardwareMachine:
    return HardwareMachine(TINY)


@pytest.mark.parametrize("net", NETWORKS)
def test_steps_on_the_hardware_equal_the_golden_model(net: str, hardware: HardwareMachine) -> None:
    """And take the simulator's cycles: the machine compares them."""
    session, batches = started(net, machine=hardware, batch=2)
    count, before = hardware.bench.count.programs, session.host.parameters()
    losses = [session.step(batch, HYPER).loss for batch in batches[:2]]
    assert len(set(losses)) == 2
    assert hardware.bench.count.programs == count + 2
    for name, value in session.host.parameters().items():
        assert torch.equal(value, session.golden.parameters[name])
        assert not torch.equal(value, before[name]), name


def test_a_cycle_that_differs_stops_training(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Case.timing

    def later(case: Case, config: SATConfig) -> Timing:
        timing = right(case, config)
        return replace(timing, cycles=timing.cycles + 1)

    monkeypatch.setattr(Case, "timing", later)
    session, batches = started("loud", machine=HardwareMachine(TINY), batch=2)
    with pytest.raises(RuntimeError, match="register CYCLES: expected"):
        session.step(batches[0], HYPER)


class Faulty(FunctionalMachine):
    """Flips a bit of the byte at `address` after the program, or before VECTOR number `at`."""

    def __init__(self, address: int, at: int | None) -> None:
        super().__init__(TINY)
        self.address, self.at = address, at

    def run(self, program, memory, on_vector) -> bool:
        seen: list[int] = []

        def spoil(op: int, memory: np.ndarray) -> None:
            seen.append(op)
            if len(seen) - 1 == self.at:
                memory[self.address] ^= 1
            on_vector(op, memory)

        overflow = super().run(program, memory, spoil)
        if self.at is None:
            memory[self.address] ^= 1
        return overflow


@pytest.mark.parametrize(
    ("where", "at", "message"),
    [
        ("0/FF", 0, "step 0: 1 of 8192 elements of tensor 0/FF differ, first at "),
        ("2.weight", None, "step 0: 1 of 4608 elements of weight 2.weight differ, first at "),
        ("2.weight forward", None, "step 1: .* elements of tensor 2/FF differ"),
        ("2.weight momentum", None, "step 0: .* of momentum 2.weight differ"),
    ],
)
def test_one_wrong_bit_is_found(where: str, at: int | None, message: str) -> None:
    session, batches = started("cnn")
    weight = session.compiled.parameters["2.weight"]
    addresses = {
        "0/FF": session.compiled.places["0/FF"].address,
        "2.weight": weight.masters[1].address,
        "2.weight forward": weight.updates[0].forward,
        "2.weight momentum": weight.momenta[1].address,
    }
    session.host.machine = Faulty(addresses[where], at)
    if message.startswith("step 1"):
        session.step(batches[0], HYPER)
    with pytest.raises(Mismatch, match=message):
        session.step(batches[1], HYPER)


def test_what_inference_takes_is_pruned() -> None:
    session, batches = started("cnn")
    session.step(batches[0], HYPER)
    state, weights = session.pruned(), session.host.parameters()
    assert state.keys() == session.model.state_dict().keys()
    kept = state["2.weight"].unflatten(1, (-1, 8)) != 0
    assert (kept.sum(2) == 2).all()
    assert torch.equal(state["0.weight"], weights["0.weight"])


def test_the_documented_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "training_on_machine.md").read_text()
    exec(text.split("```python\n")[1].split("```")[0], {})
    losses = [float(each) for each in re.findall(r"loss=([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
