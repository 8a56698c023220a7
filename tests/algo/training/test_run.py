"""The course of a run: what it logs, when it stops, where it starts."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparsat.algo import Handle, Violation
from sparsat.algo.training import checkpoint, optimize
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.trainer import Trainer
from tiny_task import CPU, Tiny, config, rows, train, weights


def test_loss_falls_and_the_log_has_a_row_per_evaluation(tmp_path: Path) -> None:
    train(tmp_path, "dense")
    log = rows(tmp_path / "dense-s0")
    assert [row["step"] for row in log] == [0, 2, 4, 6, 8, 10, 12]
    assert log[0]["loss"] is None
    assert log[-1]["loss"] < log[1]["loss"]
    assert log[-1]["accuracy"] > 70


def test_epochs_are_passes_over_the_data_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subset of a data set has shorter epochs than the whole one."""
    monkeypatch.setattr(Tiny, "recipe", replace(Tiny.recipe, steps_per_epoch=3))
    assert Trainer(Tiny(), config(epochs=5), CPU).steps == 15


def test_nan_is_one_line_that_names_step_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"loss is (nan|inf) at step \d+ of .*: lower --lr"):
        train(tmp_path, "dense", lr=1e30)
    train(tmp_path, "dense")  # nothing was finished, so the folder is free


def test_a_loss_that_is_no_number_changes_no_weight() -> None:
    trainer = Trainer(Tiny(), config(), CPU)
    trainer.start(None)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    inputs, targets = next(trainer.task.batches(0, 0))
    assert math.isnan(trainer.train((inputs * math.nan, targets)))
    assert trainer.step == 0
    after = trainer.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def poison(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the update of step number `step`, from 1, leave NaN in a weight."""
    update = optimize.Optimization.step

    def poisoned(self: optimize.Optimization, loss: torch.Tensor, number: int) -> None:
        update(self, loss, number)
        if number + 1 == step:
            with torch.no_grad():
                self.parameters[0].fill_(math.nan)

    monkeypatch.setattr(optimize.Optimization, "step", poisoned)


@pytest.mark.parametrize("step", [8, 12])
def test_nan_from_the_last_step_of_an_epoch_reaches_no_file(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, step)
    with pytest.raises(TrainError, match=f"loss is nan at step {step} of .*: lower --lr"):
        train(tmp_path, "dense")
    folder = tmp_path / "dense-s0"
    saved = checkpoint.load(folder / "checkpoint.pt")
    assert saved["step"] == step - 4
    assert all(value.isfinite().all() for value in saved["model"].values())
    assert rows(folder)[-1]["step"] == step - 2
    assert not (folder / "result.json").exists()
    assert not (folder / "model.pt").exists()


def test_a_score_that_is_no_number_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiny, "evaluate", lambda *unused: {"accuracy": math.inf})
    with pytest.raises(TrainError, match="accuracy is inf at step 0 of"):
        train(tmp_path, "dense")


def test_weights_that_break_their_pattern_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Violation("stage1.0.0.weight", "FF operand is stale")]
    monkeypatch.setattr(Handle, "verify", lambda self: found)
    with pytest.raises(TrainError, match=r"bdwp-2of8-s0: 1 trained weights .*stage1.*stale"):
        train(tmp_path)
    assert not (tmp_path / config().folder / "result.json").exists()


def test_a_pattern_that_fits_no_layer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2:16 fits no layer"):
        train(tmp_path, pattern="2:16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_one_shot_methods_start_from_the_dense_run(method: str, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="starts from a trained model"):
        train(tmp_path, method)
    dense = train(tmp_path, "dense")
    result = train(tmp_path, method)
    assert result["steps"] == 0
    assert result["start_steps"] == dense["steps"]
    assert result["macs"] >= dense["macs"]
    conv = weights(tmp_path / config(method).folder)["stage1.0.0.weight"]
    assert int((conv != 0).movedim(1, -1).sum(-1).max()) == 2


def test_a_dense_run_may_have_its_own_learning_rate(tmp_path: Path) -> None:
    train(tmp_path, "dense", steps=2, lr=0.01)
    assert train(tmp_path, "magnitude", steps=2)["config"]["lr"] is None
    with pytest.raises(TrainError, match=r"dense run in .* has another steps"):
        train(tmp_path, "magnitude", steps=3, pattern="2:4")


def test_asp_prunes_half_way(tmp_path: Path) -> None:
    result = train(tmp_path, "asp")
    dense = train(tmp_path, "dense")
    share = result["macs"] / dense["macs"]
    assert train(tmp_path, "sr-ste")["macs"] / dense["macs"] < share < 1


def test_seeds_change_the_result(tmp_path: Path) -> None:
    train(tmp_path, seed=0)
    train(tmp_path, seed=1)
    first, second = (weights(tmp_path / config(seed=s).folder) for s in (0, 1))
    assert not torch.equal(first["head.weight"], second["head.weight"])


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [optimize.rate(step, 100, 0.3) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[30] == 1
    assert rates[100] == pytest.approx(0)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert optimize.rate(0, 10, 0.0) == 1
