"""`sparsat explore` from the outside."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app

RUNNER = CliRunner()
SMALL = ["explore", "resnet9", "--batch", "4", "--budget", "6", "--workers", "1"]


def test_explore_writes_what_it_shows(tmp_path: Path) -> None:
    out, page, kept = tmp_path / "front.json", tmp_path / "front.html", tmp_path / "kept.sqlite"
    command = [*SMALL, "--database", str(kept), "--json", str(out), "--html", str(page)]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 0, result.stderr
    front = json.loads(out.read_text())["front"]
    for point in front:
        assert f"{point['seconds'] * 1e3:,.2f}" in result.stdout
        assert f"{point['config']['rows']}×{point['config']['cols']}" in result.stdout
    assert "6 designs screened" in result.stdout
    assert "error of screening" in result.stdout
    text = page.read_text()
    assert "front, 2:8" in text
    assert '<script src="http' not in text
    again = RUNNER.invoke(app, command)
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--budget", "0"], "--budget is 0, it must be from 1 to 1000000"),
        (["--workers", "-1"], "--workers is -1, it must be from 0 to 1024"),
        (["--patterns", "3"], "pattern is '3', it must be N:M"),
        (["--patterns", " , "], "--patterns is ' , ', it must be a list"),
        (["--board", "kintex"], "unknown board 'kintex': known are vcu1525"),
        (["--html", "no/such/page.html"], "cannot write no/such/page.html: no directory"),
        (["--json", "same", "--html", "same"], "same is asked for twice"),
        (["--database", "no/such/file"], "cannot write no/such/file: no directory"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler at tcp://127.0.0.1:1"),
    ],
)
def test_bad_requests_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = RUNNER.invoke(app, [*SMALL, *changes])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob("*.json"))
