"""`sparsat simulate` and `sparsat compare` from the outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app

RUNNER = CliRunner()
NET = """
from torch import nn
def build():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(32, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPARSAT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.py"
    path.write_text(NET)
    return f"{path}:build@16"


def test_simulate_writes_what_it_shows(net: str, tmp_path: Path) -> None:
    out, trace = tmp_path / "out.json", tmp_path / "trace.json"
    command = ["simulate", net, "--batch", "8", "--json", str(out), "--trace", str(trace)]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 0, result.stderr
    plain = json.loads(out.read_text())
    assert f"{plain['totals']['cycles']:,}" in result.stdout
    assert f"{plain['gemm_speedup_vs_dense']:.3f}×" in result.stdout
    assert "more operations" not in RUNNER.invoke(app, [*command, "--all"]).stdout
    assert "1/relu" in result.stdout
    assert json.loads(trace.read_text())["traceEvents"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache",
        "net.py",
        "out.json",
        "trace.json",
    ]


def test_values_and_report(net: str, tmp_path: Path) -> None:
    page = tmp_path / "step.html"
    command = ["simulate", net, "--batch", "2", "--config", "tiny", "--functional"]
    result = RUNNER.invoke(app, [*command, "--html", str(page)])
    assert result.exit_code == 0, result.stderr
    assert "19 operations equal the golden model" in result.stdout.replace("\n", " ")
    assert "<html" in page.read_text()[:200]


def test_same_bytes_whatever_the_order_of_hashes(net: str, tmp_path: Path) -> None:
    """Captured anew in a process of its own each time."""
    written = set()
    for seed in ("1", "2"):
        out, cache = tmp_path / f"{seed}.json", str(tmp_path / seed)
        code = "from sparsat.cli.main import app; app()"
        command = [sys.executable, "-c", code, "simulate", net, "--batch", "2", "--json", str(out)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= {"PYTHONHASHSEED": seed, "SPARSAT_CACHE": cache}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        written.add(out.read_bytes())
    assert len(written) == 1


def test_compare_shows_layers(net: str) -> None:
    result = RUNNER.invoke(app, ["compare", net, "--batch", "2", "--layers"])
    assert result.exit_code == 0, result.stderr
    assert "Cycles of GEMMs and updates by layer" in result.stdout


def test_a_second_run_needs_no_torch(net: str) -> None:
    assert RUNNER.invoke(app, ["simulate", net, "--batch", "2"]).exit_code == 0
    code = (
        "import sys\nfrom sparsat.cli.main import app\n"
        f"try:\n    app(['simulate', '{net}', '--batch', '2'])\n"
        "finally:\n    assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_compare_shows_every_combination(net: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = ["compare", net, "--batch", "4", "--schedules", "os,ws", "--patterns", "2:8,1:4"]
    result = RUNNER.invoke(app, [*command, "--configs", "vcu1525,small", "--json", str(out)])
    assert result.exit_code == 0, result.stderr
    found = json.loads(out.read_text())["results"]
    keys = [(each["config"]["name"], each["pattern"], each["schedule"]) for each in found]
    assert len(set(keys)) == 8


def test_compare_shows_what_a_schedule_loses_to_optimal(net: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = ["compare", net, "--batch", "64", "--json", str(out), "--schedules"]
    result = RUNNER.invoke(app, [*command, "no-interleave,optimal"])
    slow, best = (each["totals"]["cycles"] for each in json.loads(out.read_text())["results"])
    assert slow > 1.2 * best
    assert f"{slow:,} {slow / best - 1:.1%}" in " ".join(result.stdout.split())
    assert "0.0%" in result.stdout
    alone = RUNNER.invoke(app, [*command, "no-interleave"])
    assert f"{slow:,} - " in " ".join(alone.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "unknown model 'nosuch'"),
        (["resnet18", "--batch", "0"], "batch must be at least 1"),
        (["resnet18", "--pattern", "2-8"], "pattern is '2-8'"),
        (["resnet18", "--pattern", "9:8"], "N from 1 to M"),
        (["resnet18", "--schedule", "best"], "unknown schedule 'best': known are optimal"),
        (["resnet18", "--config", "huge"], "config 'huge' is unknown"),
        (["resnet18", "--memory", "hbm"], "unknown memory 'hbm': known are fixed, ddr4"),
        (["resnet18", "--board", "kc705"], "unknown board 'kc705': known are vcu1525"),
        (["resnet18", "--html", "/nowhere/x.html"], "no directory /nowhere"),
        (["resnet18", "--json", "/nowhere/x.json"], "no directory /nowhere"),
        (["resnet18", "--trace", "/"], "is a directory"),
        (["resnet18", "--json", "x.json", "--html", "./x.json"], "x.json is asked for twice"),
    ],
)
def test_bad_requests_are_one_line_before_any_work(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsat.dataflow.step_cache._capture", lambda *_: pytest.fail("captured"))
    result = RUNNER.invoke(app, ["simulate", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_model_that_does_not_fit_leaves_no_file(net: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    wide = net.replace("@16", "@4096")
    command = ["simulate", wide, "--batch", "1", "--config", "tiny", "--json", str(out)]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 2
    assert "0/FF does not fit config tiny" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not out.exists()


def test_ctrl_c_while_writing_leaves_no_file(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparsat.sim.trace.write_trace", interrupted)
    files = {"--json": "out.json", "--html": "step.html", "--trace": "trace.json"}
    options = [each for option, name in files.items() for each in (option, str(tmp_path / name))]
    result = RUNNER.invoke(app, ["simulate", net, "--batch", "2", *options])
    assert result.exit_code == 130
    assert "nothing was written" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "net.py"]
