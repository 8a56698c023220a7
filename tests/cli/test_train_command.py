"""`sparsat train` from the outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app

RUNNER = CliRunner()


def test_help_has_examples_and_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom sparsat.cli.main import app\n"
        "try:\n    app(['train', '--help'])\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sparsat train digits --methods dense,sr-ste,bdwp" in done.stdout
    assert "cifar10, cifar100, tiny-imagenet" in done.stdout  # the source breaks the line there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist"], "unknown task 'mnist': known are digits"),
        (["digits", "--method", "foo"], "method is 'foo'; allowed: dense"),
        (["digits", "--methods", "dense,foo"], "method is 'foo'; allowed: dense"),
        (["digits", "--pattern", "2-8"], "pattern '2-8'"),
        (["digits", "--pattern", "3:8,9:8"], "n_keep is 9"),
        (["digits", "--pattern", ","], "--pattern is ','"),
        (["digits", "--seeds", "one"], "--seeds is 'one'"),
        (["digits", "--seeds", "0,-1"], "seed is -1"),
        (["digits", "--epochs", "1", "--steps", "2"], "epochs and steps both"),
        (["digits", "--data", "/"], "digits makes its own data: leave out --data"),
        (["digits", "--methods", "dense,bdwp", "--data", "/"], "leave out --data"),
        (["digits", "--method", "sdgp", "--decay", "1e-3"], "no setting 'decay' of sdgp"),
        (["digits", "--methods", "sdgp,wanda", "--decay", "1e-3"], "no setting 'decay' of sdgp"),
        (["digits", "--methods", "bdwp,maskllm", "--pattern", "8:16"], "candidate masks"),
        (["digits", "--method", "pdp", "--option", "tau"], "not of the form key=value"),
        (["digits", "--method", "pdp", "--option", "tau=low"], "tau is 'low'; allowed"),
        (
            ["digits", "--method", "pdp", "--option", "foo=1"],
            "no setting 'foo' of pdp; allowed",
        ),
        (["digits", "--device", "gpu"], "device is 'gpu'; known are"),
        (
            ["digits", "--methods", "dense,bdwp", "--device", "gpu", "--jobs", "1"],
            "device is 'gpu'",
        ),
        (["digits", "--model", "vit"], "leave out --model"),
        (["cifar10", "--data", "/nowhere"], "no directory /nowhere"),
        (["imagenet"], "pass --data DIR"),
    ],
)
def test_bad_requests_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = RUNNER.invoke(app, ["train", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_runs_once_and_writes_table_and_curves(tmp_path: Path) -> None:
    command = ["train", "digits", "--methods", "dense,bdwp", "--steps", "1", "--jobs", "2"]
    command += ["--out", str(tmp_path)]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert "dense-s0: done" in result.stderr
    files = ("table.md", "table.json", "curves.html", "bdwp-2of8-s0/result.json")
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in files}
    methods = [row["label"] for row in json.loads((tmp_path / "table.json").read_text())["rows"]]
    assert methods == ["dense", "bdwp 2:8"]
    again = RUNNER.invoke(app, command)
    assert again.exit_code == 0
    assert "bdwp-2of8-s0: finished before" in again.stderr
    assert (tmp_path / files[-1]).stat().st_mtime_ns == written[files[-1]]
    changed = RUNNER.invoke(app, [*command, "--lr", "0.1"])
    assert changed.exit_code == 2
    assert "another lr" in changed.stderr


def test_failed_runs_of_a_sweep_are_a_line_each_and_exit_code_2(tmp_path: Path) -> None:
    command = ["train", "digits", "--methods", "dense,magnitude", "--lr", "1e38", "--steps", "3"]
    result = RUNNER.invoke(app, [*command, "--out", str(tmp_path), "--jobs", "1"])
    assert result.exit_code == 2
    dense, magnitude, last = result.stderr.rstrip().splitlines()
    assert dense.startswith("dense-s0: loss is nan at step 1 of")
    assert magnitude == "magnitude-2of8-s0: dense-s0, which it starts from, failed"
    assert last == f"error: {dense} (1 more failed)"
    assert not (tmp_path / "table.md").exists()
