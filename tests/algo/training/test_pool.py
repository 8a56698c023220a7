"""A run that fails or dies fails alone, with one line, and the others go on."""

import os
import signal
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsat.algo.training import pool, sweep
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.device import pick_device
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.pool import Event
from tiny_task import CPU, config


class Deadly(RunConfig):
    """Ends the process that it arrives in."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (7,)


def test_a_process_that_dies_fails_its_run_alone(tmp_path: Path) -> None:
    runs = [Deadly("digits", seed=1), RunConfig("nothing"), Deadly("digits", seed=2)]
    events: list[Event] = []
    failures = pool.run_jobs(runs, tmp_path, device="cpu", jobs=1, threads=1, watch=events.append)
    assert [event.run for event in events] == ["dense-s1", "dense-s0", "dense-s2"]
    assert list(failures) == ["dense-s1", "dense-s0", "dense-s2"]
    assert failures["dense-s1"] == "its process died (exit code 7): run the command again"
    assert failures["dense-s0"].startswith("unknown task 'nothing'")


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError])
def test_an_error_in_a_run_is_news_of_one_line(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*unused: object, **also_unused: object) -> None:
        raise error("no memory\nleft")

    monkeypatch.setattr(signal, "signal", lambda *unused: None)
    monkeypatch.setattr(pool.Run, "execute", fail)
    news, end = Pipe(duplex=False)
    pool._train(end, config(), tmp_path, CPU, 1)
    assert news.recv() == Event(config().folder, "failed", message="no memory left")


def test_runs_whose_dense_run_failed_are_failures_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def run_jobs(configs: list[RunConfig], *unused: object, **also: object) -> dict[str, str]:
        started.extend(c.folder for c in configs)
        return {c.folder: "loss is nan" for c in configs if c.folder == "dense-s0"}

    monkeypatch.setattr(sweep, "run_jobs", run_jobs)
    events: list[Event] = []
    runs = sweep.grid({"task": "tiny"}, {}, ["wanda"], ["2:4"], [0, 1])
    with pytest.raises(TrainError, match=r"dense-s0: loss is nan \(1 more failed\)"):
        sweep.sweep(runs, tmp_path, device="cpu", jobs=1, threads=1, watch=events.append)
    assert started == ["dense-s0", "dense-s1", "wanda-2of4-s1"]
    message = "dense-s0, which it starts from, failed"
    assert events == [Event("wanda-2of4-s0", "failed", message=message)]


@pytest.mark.parametrize(
    ("name", "gpus", "said"),
    [
        ("cuda", 0, "no GPU is visible to PyTorch: use --device cpu"),
        ("cuda:1", 1, "no device cuda:1: PyTorch sees 1"),
        ("gpu", 1, "device is 'gpu'; known are auto, cpu, cuda and cuda:N"),
        ("cuda:x", 1, "device is 'cuda:x'; known are"),
    ],
)
def test_a_device_that_is_not_there_is_told(
    name: str, gpus: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(TrainError, match=said):
        pick_device(name)


@pytest.mark.parametrize(("name", "gpus", "picked"), [("auto", 0, "cpu"), ("auto", 1, "cuda")])
def test_auto_takes_the_gpu_where_there_is_one(
    name: str, gpus: int, picked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert pick_device(name).type == picked
