"""Runs resume bit by bit, files are never torn, costs and tables are right."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sparsat.algo import Handle, Violation
from sparsat.algo.methods.bi_mask import BiMask
from sparsat.algo.models.resnet9 import ResNet9
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task, accuracy, generator
from sparsat.algo.training import checkpoint, cost, curves, device, optimize, render, run, table
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import CheckpointError, TrainError
from sparsat.algo.training.files import write_atomic, write_json
from sparsat.algo.training.run import Progress, Run

CPU = torch.device("cpu")
FROM_SCRATCH = ["dense", "sr-ste", "sdgp", "bdwp", "bi-mask", "transposable", "mvue", "s-ste"]


class Tiny(Task):
    """Random 8×8 images of two classes, 3 epochs of 4 steps."""

    name = "tiny"
    summary = "for tests"
    metric = Metric("accuracy", "%")
    recipe = Recipe("sgd", 0.05, 1e-4, batch=8, epochs=3, steps_per_epoch=4, clip=1.0, evals=2)

    def __init__(self, *unused: object) -> None:
        draw = torch.Generator().manual_seed(0)
        self.y = torch.randint(2, (32,), generator=draw)
        self.x = torch.randn(32, 1, 8, 8, generator=draw) + self.y.view(-1, 1, 1, 1)

    def model(self) -> nn.Module:
        return ResNet9(2, channels=1, widths=(8, 8, 8, 8))

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(32, generator=generator(seed, epoch))
        yield from ((self.x[pick], self.y[pick]) for pick in order.split(8))

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        return {"accuracy": accuracy(model, iter([(self.x, self.y)]), device)}


def tiny(*unused: object) -> Task:
    return Tiny()


@pytest.fixture(autouse=True)
def tiny_task(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    device.set_up_torch(CPU, 1)
    monkeypatch.setattr(run, "make_task", tiny)
    yield
    torch.set_num_threads(threads)


def config(method: str = "bdwp", **changes: Any) -> RunConfig:
    return replace(RunConfig(task="tiny", method=method), **changes)


def train(root: Path, method: str = "bdwp", **changes: Any) -> dict[str, Any]:
    return Run(config(method, **changes), root, CPU).execute()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def rows(folder: Path) -> list[dict[str, Any]]:
    log = json.loads((folder / "log.json").read_text())["rows"]
    return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in log]


def stop_at(step: int) -> run.Watcher:
    def watch(progress: Progress) -> None:
        if progress.step == step and progress.loss is not None:
            raise KeyboardInterrupt

    return watch


def assert_same_run(a: Path, b: Path) -> None:
    assert rows(a) == rows(b)
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# Resuming


@pytest.mark.parametrize("method", [*FROM_SCRATCH, "asp", "pdp", "maskllm"])
def test_resume_is_bit_identical(method: str, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    steps = 12 if method != "maskllm" else 30
    for root in (whole, parts):
        if method == "maskllm":
            train(root, "dense", steps=steps)
    train(whole, method, steps=steps)
    with pytest.raises(KeyboardInterrupt):
        Run(config(method, steps=steps), parts, CPU, stop_at(6)).execute()
    torch.manual_seed(999)  # what another process would have
    Run(config(method, steps=steps), parts, CPU).execute(resume=True)
    folder = config(method).folder
    assert_same_run(whole / folder, parts / folder)


def test_numerics_of_the_accelerator_resume_too(tmp_path: Path) -> None:
    sat = config(numerics="sat", steps=6)
    Run(sat, tmp_path / "whole", CPU).execute()
    with pytest.raises(KeyboardInterrupt):
        Run(sat, tmp_path / "parts", CPU, stop_at(5)).execute()
    Run(sat, tmp_path / "parts", CPU).execute(resume=True)
    assert_same_run(tmp_path / "whole" / sat.folder, tmp_path / "parts" / sat.folder)
    train(tmp_path, steps=6)
    assert rows(tmp_path / "whole" / sat.folder) != rows(tmp_path / config().folder)


KILLED = """
import os, runpy, signal, sys, torch
from pathlib import Path
tests = runpy.run_path(sys.argv[1])
run = tests["run"]
run.make_task = tests["tiny"]
tests["device"].set_up_torch(torch.device("cpu"), 1)
def watch(progress):
    if progress.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
run.Run(tests["config"](), Path(sys.argv[2]), torch.device("cpu"), watch).execute()
"""


def test_a_killed_process_loses_no_finished_epoch(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, __file__, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    folder = tmp_path / config().folder
    assert checkpoint.load(folder / "checkpoint.pt")["step"] == 4
    Run(config(), tmp_path, CPU).execute(resume=True)
    train(tmp_path / "whole")
    assert_same_run(folder, tmp_path / "whole" / config().folder)


def test_an_unfinished_run_is_not_continued_silently(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(config(), tmp_path, CPU, stop_at(5)).execute()
    with pytest.raises(TrainError, match="unfinished run: add --resume"):
        train(tmp_path)


def test_a_finished_run_is_not_run_twice(tmp_path: Path) -> None:
    first = train(tmp_path)
    result = tmp_path / config().folder / "result.json"
    written = result.stat().st_mtime_ns
    assert train(tmp_path) == first
    assert result.stat().st_mtime_ns == written


def test_another_config_does_not_overwrite_a_run(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(TrainError, match=r"another lr: choose another --out"):
        train(tmp_path, lr=0.01)


# Files


def test_no_temporary_files_are_left(tmp_path: Path) -> None:
    train(tmp_path)
    names = {file.name for file in (tmp_path / config().folder).iterdir()}
    expected = {"config.json", "log.csv", "log.json", "checkpoint.pt", "model.pt", "result.json"}
    assert names == expected


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    write_atomic(file, "old")

    def fail(*unused: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_result_is_told(tmp_path: Path) -> None:
    train(tmp_path, steps=1)
    for name in ("result.json", "config.json"):
        (tmp_path / config().folder / name).write_text("{")
        with pytest.raises(TrainError, match=f"{name} is absent or damaged: delete .* and train"):
            train(tmp_path, steps=1)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other"])
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(config(), tmp_path, CPU, stop_at(6)).execute()
    file = tmp_path / config().folder / "checkpoint.pt"
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    kept = {"truncated": content[:-10], "flipped": content, "empty": b"", "other": b"hello"}
    file.write_bytes(bytes(kept[damage]))
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint: delete it"):
        Run(config(), tmp_path, CPU).execute(resume=True)


def test_random_state_is_restored() -> None:
    state = checkpoint.random_state()
    first = torch.rand(3)
    checkpoint.restore_random_state(state)
    assert torch.equal(first, torch.rand(3))


# The course of a run


def test_loss_falls_and_the_log_has_a_row_per_evaluation(tmp_path: Path) -> None:
    train(tmp_path, "dense")
    log = rows(tmp_path / "dense-s0")
    assert [row["step"] for row in log] == [0, 2, 4, 6, 8, 10, 12]
    assert log[0]["loss"] is None
    assert log[-1]["loss"] < log[1]["loss"]
    assert log[-1]["accuracy"] > 70


def test_nan_is_one_line_that_names_step_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"loss is (nan|inf) at step \d+ of .*: lower --lr"):
        train(tmp_path, "dense", lr=1e30)
    train(tmp_path, "dense")  # nothing was finished, so the folder is free


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


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": math.nan})
    assert list(tmp_path.iterdir()) == []


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


def test_wrong_settings_are_told() -> None:
    for changes, message in (
        ({"method": "foo"}, "method is 'foo'; allowed: dense, ste"),
        ({"pattern": "2:5"}, "pattern '2:5': m is 5"),
        ({"numerics": "int8"}, "numerics is 'int8'; allowed: torch, sat"),
        ({"steps": 0}, "steps is 0"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(TrainError, match=message):
            config(**changes)


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


def test_a_run_draws_from_its_seed_alone() -> None:
    assert config("bi-mask", seed=3).nm_config().build_method() == BiMask(seed=3)


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


# Costs


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


# Tables


def finished(method: str, seed: int, scores: list[float], macs: float, start: int = 0) -> Any:
    settings = {"method": method, "pattern": None, "seed": seed, "numerics": "torch"}
    result = {
        "config": settings,
        "steps": 10 * (len(scores) - 1),
        "start_steps": start,
        "macs": macs,
        "dense_macs": 100.0,
        "cpu_seconds": 1.0,
        "metrics": {"accuracy": scores[-1]},
    }
    share = macs / max(1, len(scores) - 1)
    log = [{"step": 10 * i, "macs": share * i, "accuracy": s} for i, s in enumerate(scores)]
    return table.Finished(result, log)


def test_table_compares_at_equal_steps_and_equal_macs() -> None:
    runs = [
        finished("dense", 0, [0, 40, 80], 100),
        finished("dense", 1, [0, 60, 90], 100),
        finished("bdwp", 0, [0, 30, 70], 50),
        finished("bdwp", 1, [0, 30, 72], 50),
    ]
    built = table.build(Tiny, runs)
    dense, bdwp = built.rows
    assert (built.budget_steps, built.budget_macs) == (20, 50)
    assert dense.scores == (80, 90)
    assert dense.mean == 85
    assert dense.sd == pytest.approx(math.sqrt(50))
    assert (dense.iso_step, dense.iso_mac) == (85, 50)
    assert (bdwp.iso_step, bdwp.iso_mac) == (71, 71)
    assert (dense.cost, bdwp.cost) == (1.0, 0.5)


def test_curves_are_read_between_evaluations_and_not_beyond() -> None:
    one = finished("dense", 0, [0, 40, 80], 100)
    assert one.at("macs", 25, "accuracy") == 20
    assert one.at("step", 15, "accuracy") == 60
    assert one.at("macs", 101, "accuracy") is None
    late = finished("wanda", 0, [50], 120, start=20)
    late.rows[0]["macs"] = 120
    assert late.at("macs", 100, "accuracy") is None
    assert late.at("step", 20, "accuracy") == 50
    assert late.total_steps == 20


def test_matching_is_relative_to_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "matching", 0.95)
    monkeypatch.setattr(Tiny, "matched", ("accuracy",))
    runs = [finished(m, 0, [0, s], 10) for m, s in (("dense", 80), ("ste", 76), ("bdwp", 75.9))]
    rows = {row.label: row.matches for row in table.build(Tiny, runs).rows}
    assert rows["ste"] == {"accuracy": True}
    assert rows["bdwp"] == {"accuracy": False}


def test_markdown_and_curves(tmp_path: Path) -> None:
    runs = [finished("dense", 0, [0, 40, 80], 100), finished("bdwp", 0, [0, 30, 70], 50)]
    text = render.document(table.build(Tiny, runs))
    assert "| bdwp | 70.00 | – | 70.00 | 70.00 | 70.00 | 0.500 | 20 | 1 |" in text
    curves.draw(tmp_path / "curves.html", Tiny, runs)
    page = (tmp_path / "curves.html").read_text()
    assert "bdwp" in page
    assert "cdn.plot.ly" not in page.split("<body>")[0]


@pytest.mark.parametrize("method", ["pdp", "dense"])
def test_soft_masks_save_nothing_in_training(method: str, tmp_path: Path) -> None:
    result = train(tmp_path, method, steps=2)
    assert result["macs"] == result["dense_macs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": -1.0}, "lr is -1"),
        ({"method": "fixed"}, "masks"),
        ({"decay": math.inf}, "decay is inf"),
        ({"method": "sdgp", "decay": 1e-3}, "sdgp has no option 'decay'"),
        ({"method": "wanda", "lr": 0.1}, "lr is 0.1, but method wanda trains nothing"),
        ({"method": "maskllm", "pattern": "8:16"}, "candidate masks per group"),
        ({"options": {"tau": 1.0}}, "bdwp has no option 'tau'"),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused(change, said):
    with pytest.raises(TrainError, match=said):
        RunConfig(**({"task": "digits", "method": "bdwp"} | change))
