"""`sparsat train-on-machine` from the outside."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app
from sparsat.sim.training.machine import FunctionalMachine

RUNNER = CliRunner()
SMALL = ["train-on-machine", "cnn", "--config", "tiny", "--batch", "4", "--steps", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp"], "unknown network 'mlp': known are cnn, transformer"),
        (["cnn", "--config", "huge"], "config 'huge' is unknown"),
        (["cnn", "--pattern", "9:8"], "pattern is '9:8'"),
        (["cnn", "--steps", "0"], "steps is 0; it must be at least 1"),
        (["cnn", "--batch", "1258"], "batch is 1258; it must be from 1 to 1257"),
        (["cnn", "--seed", "-1"], "seed is -1"),
        (["cnn", "--lr", "0"], "lr is 0.0"),
        (["cnn", "--json", "/nowhere/x"], "cannot write /nowhere/x"),
        (["cnn", "--batch", "4", "--steps", "9", "--lr", "90"], "is not finite: a smaller lr"),
    ],
)
def test_bad_requests_are_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    found = RUNNER.invoke(app, ["train-on-machine", *arguments])
    assert found.exit_code == 2
    assert found.stderr.startswith("error: ")
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_run_leaves_a_log_and_a_page(tmp_path: Path) -> None:
    log, page = tmp_path / "log.json", tmp_path / "page.html"
    found = RUNNER.invoke(app, [*SMALL, "--json", str(log), "--html", str(page)])
    assert found.exit_code == 0, found.stderr
    headline, equal = found.stdout.splitlines()
    assert headline.startswith("cnn, 2:8, on tiny: loss ")
    assert equal.startswith("19210 weights and ")
    plain = json.loads(log.read_text())
    assert (plain["schema"], plain["pattern"], plain["bit_exact"]) == (1, "2:8", True)
    assert [row["step"] for row in plain["log"]] == [0, 1, 2]
    assert plain["log"][0]["loss"] == pytest.approx(plain["log"][0]["torch_loss"], abs=0.01)
    html = page.read_text()
    assert headline in html
    assert "<script src" not in html.lower().replace('<script src="data:', "")


def test_a_stop_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(FunctionalMachine, "run", stop)
    found = RUNNER.invoke(app, [*SMALL, "--json", str(tmp_path / "log.json")])
    assert (found.exit_code, found.stderr) == (130, "stopped; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_differs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    right = FunctionalMachine.run

    def forgetful(self: FunctionalMachine, program, memory, on_vector) -> bool:
        memory[:] = 0
        return right(self, program, memory, on_vector)

    monkeypatch.setattr(FunctionalMachine, "run", forgetful)
    found = RUNNER.invoke(app, SMALL)
    assert found.exit_code == 2
    assert found.stderr.startswith("error: step 0: ")
    assert " differ, first at " in found.stderr


def test_a_machine_that_ends_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FunctionalMachine, "run", lambda *_: False)
    found = RUNNER.invoke(app, SMALL)
    assert found.exit_code == 2
    assert found.stderr.startswith("error: the program ended without a VECTOR for ")
