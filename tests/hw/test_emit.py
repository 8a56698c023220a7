"""The emitted Verilog: size, lint, the files beside it."""

import json
import re

import pytest

from sparsat.hw.config import preset
from sparsat.hw.emit import stce_verilog, write_accelerator
from sparsat.hw.tools.verilator import WAIVERS, run


def lint(folder):
    run(["verilator", "--lint-only", "-Wall", "lint.vlt", "sat.v", "--top-module", "sat"], folder)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sat")
    write_accelerator(preset("tiny"), folder)
    return folder


def test_the_shipped_waivers_make_it_lint_clean(emitted):
    lint(emitted)


@pytest.mark.parametrize("rule", WAIVERS)
def test_each_waiver_is_needed(emitted, tmp_path, rule):
    (tmp_path / "sat.v").write_text((emitted / "sat.v").read_text())
    kept = (emitted / "lint.vlt").read_text().replace(f"lint_off -rule {rule}\n", "")
    (tmp_path / "lint.vlt").write_text(kept)
    with pytest.raises(RuntimeError, match=rule):
        lint(tmp_path)


def test_the_card_sized_array_stays_small_text():
    """At most 60 thousand lines, each repeated module once."""
    text = stce_verilog(preset("vcu1525"))
    assert text.count("\n") <= 60_000
    assert text.count("module uspe(") == 1
    assert text.count("  uspe cell_") == 32 * 32


def test_the_description_names_every_port(emitted):
    described = json.loads((emitted / "config.json").read_text())
    verilog = (emitted / "sat.v").read_text()
    header = verilog[verilog.index("module sat(") : verilog.index(");")]
    names = [port["name"] for port in described["ports"]]
    assert sorted(names) == sorted(re.findall(r"\w+", header)[2:])
    for port in described["ports"]:
        kind = {"in": "input", "out": "output"}[port["direction"]]
        width = f" [{port['width'] - 1}:0]" if port["width"] > 1 else ""
        assert f"  {kind}{width} {port['name']};" in verilog


def test_a_failure_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sparsat.hw.emit.waiver_file", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_accelerator(preset("tiny"), tmp_path)
    assert not list(tmp_path.iterdir())
