"""Files are never torn, and a damaged one is told."""

import math
import os
import shutil
from pathlib import Path

import pytest

from sparsat.algo.training.errors import CheckpointError, TrainError
from sparsat.algo.training.files import write_atomic, write_json
from sparsat.algo.training.run import Run
from tiny_task import CPU, config, stop_at, train


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
    with pytest.raises(CheckpointError, match=f"damaged: delete {file.parent} and"):
        Run(config(), tmp_path, CPU).execute(resume=True)


@pytest.mark.parametrize("damage", ["absent", "empty"])
def test_what_is_told_about_a_dense_runs_checkpoint_mends_it(damage: str, tmp_path: Path) -> None:
    train(tmp_path, "dense")
    folder = tmp_path / config("dense").folder
    file = folder / "checkpoint.pt"
    file.unlink() if damage == "absent" else file.write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"delete {folder} and train again"):
        train(tmp_path, "magnitude")
    shutil.rmtree(folder)
    train(tmp_path, "dense")
    train(tmp_path, "magnitude")


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": math.nan})
    assert list(tmp_path.iterdir()) == []
