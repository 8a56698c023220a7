"""The emitted Verilog: size, lint, the files beside it."""

import json

import pytest

from sparsat.hw.config import preset
from sparsat.hw.emit import stce_verilog, write_array
from sparsat.hw.tools.verilator import WAIVERS, run


def lint(folder):
    run(["verilator", "--lint-only", "-Wall", "lint.vlt", "stce.v", "--top-module", "stce"], folder)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("array")
    write_array(preset("tiny"), folder)
    return folder


def test_the_shipped_waivers_make_it_lint_clean(emitted):
    lint(emitted)


@pytest.mark.parametrize("rule", WAIVERS)
def test_each_waiver_is_needed(emitted, tmp_path, rule):
    (tmp_path / "stce.v").write_text((emitted / "stce.v").read_text())
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


def test_the_description_names_every_port_and_field(emitted):
    described = json.loads((emitted / "config.json").read_text())
    verilog = (emitted / "stce.v").read_text()
    header = verilog[verilog.index("module stce(") : verilog.index(");")]
    for port in described["ports"]:
        assert port["name"] in header
    for name, fields in described["fields"].items():
        width = next(p["width"] for p in described["ports"] if p["name"].startswith(name[:-1]))
        assert sum(field["width"] for field in fields) == width


def test_a_failure_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sparsat.hw.emit.waiver_file", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_array(preset("tiny"), tmp_path)
    assert not list(tmp_path.iterdir())
