"""`sparsat gemm` and `generate` as a user meets them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app
from sparsat.dataflow.array_gemm import ArrayGemm
from sparsat.hw.array_op import Dataflow
from sparsat.hw.config import preset
from sparsat.hw.timing import array_cycles

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_true_cycle_count():
    config = preset("small")
    mapping = ArrayGemm(config, 128, 128, 1024, Dataflow.OS, n=2, m=8, ir=4, is_=4)
    cycles = array_cycles(config, mapping.op)
    share = 128 * 128 * 1024 // 4 / (config.cells * cycles)
    text = README.read_text()
    assert f"cycles       {cycles}, as predicted" in text
    assert f"utilisation  {share:.2%}" in text


def test_help_keeps_its_words():
    text = CliRunner().invoke(app, ["gemm", "--help"]).output
    assert "A is p×k; B is k×q" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gemm", "--config", "huge"], "config 'huge' is unknown"),
        (["gemm", "--pattern", "3:5"], "m is 5"),
        (["gemm", "--pattern", "9:8"], "n_keep is 9"),
        (["gemm", "--dataflow", "xs"], "dataflow is 'xs', it must be os or ws"),
        (["gemm", "--ir", "8"], "at most"),
        (["gemm", "--k", "20"], "k is 20, it must be divisible by m=8"),
        (["generate", "--config", "huge", "-o", "x"], "config 'huge' is unknown"),
        (["generate", "--board", "u50", "-o", "x"], "board 'u50' is unknown"),
        (["generate", "--board", "u200", "--flow", "ise", "-o", "x"], "flow 'ise' is unknown"),
        (["generate", "--board", "rfsoc4x2", "-o", "x"], "the board has at most 1"),
        (["generate", "--flow", "vitis", "-o", "x"], "--flow needs --board"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_board_gets_its_project(tmp_path):
    arguments = ["generate", "--board", "u200", "--config", "tiny", "-o", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"README.md", "build.tcl", "card.xdc", "config.json"} <= made
    assert {"rtl/sat.v", "rtl/sat_card.v"} <= made
