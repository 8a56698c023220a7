"""Runs resume bit by bit and never take over another's folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tiny_task
from sparsat.algo.training import checkpoint
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.run import Run
from tiny_task import CPU, assert_same_run, config, rows, stop_at, train

FROM_SCRATCH = ["dense", "sr-ste", "sdgp", "bdwp", "bi-mask", "transposable", "mvue", "s-ste"]


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
tiny = runpy.run_path(sys.argv[1])
tiny["run"].make_task = tiny["tiny"]
torch.set_num_threads(1)
def watch(progress):
    if progress.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
tiny["Run"](tiny["config"](), Path(sys.argv[2]), tiny["CPU"], watch).execute()
"""


def test_a_killed_process_loses_no_finished_epoch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tiny_task.__file__, str(tmp_path)], check=False
    )
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


def test_random_state_is_restored() -> None:
    state = checkpoint.random_state()
    first = torch.rand(3)
    checkpoint.restore_random_state(state)
    assert torch.equal(first, torch.rand(3))
