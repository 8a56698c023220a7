import pytest

from sparsat.hw.tools.cache import cached
from sparsat.hw.tools.verilator import build_library, lint, require_compiler

CLEAN = "module clean(input [3:0] a, output [3:0] q); assign q = ~a; endmodule\n"


def test_lint_accepts_clean_verilog(tmp_path):
    (tmp_path / "clean.v").write_text(CLEAN)
    lint([tmp_path / "clean.v"], "clean")


def test_lint_reports_what_it_finds(tmp_path):
    (tmp_path / "clean.v").write_text(CLEAN.replace("output [3:0]", "output [4:0]"))
    with pytest.raises(RuntimeError, match="WIDTHEXPAND"):
        lint([tmp_path / "clean.v"], "clean", waivers=())


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=r"needs g\+\+, make, perl: install"):
        require_compiler()


def test_a_build_is_done_once_per_content(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSAT_CACHE", str(tmp_path))
    builds = []
    keys = [["a", "b"], ["a", "b"], ["ab"], ["a", "c"]]
    paths = [cached("kind", key, lambda out: builds.append(out)) for key in keys]
    assert len(builds) == len(set(paths)) == 3
    assert paths[0] == paths[1]


def test_a_failed_build_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSAT_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match="syntax error"):
        build_library("module top(; endmodule", "top", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.name != "model"]
