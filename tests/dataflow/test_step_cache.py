"""Captured steps on disk: hits need nothing, changes miss, damage is repaired."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsat.dataflow import step_cache
from sparsat.dataflow.models import parse_spec

NET = """
from torch import nn
import torch
def build():
    return nn.Linear(8, {width}), torch.empty(1, 8)
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file, with an empty cache beside it."""
    monkeypatch.setenv("SPARSAT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.py"
    path.write_text(NET.format(width=4))
    return path


def test_a_hit_imports_neither_torch_nor_the_file(net: Path) -> None:
    step = step_cache.captured_step(f"{net}:build", 2)
    code = (
        "import sys; from sparsat.dataflow.step_cache import captured_step;"
        f"step = captured_step('{net}:build', 2);"
        "assert 'torch' not in sys.modules and 'sparsat_model_net' not in sys.modules;"
        "assert 'sparsat.dataflow.capture' not in sys.modules; print(step.to_json())"
    )
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == step.to_json()


def test_a_hit_captures_nothing(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_cache.captured_step(f"{net}:build", 2)
    monkeypatch.setattr(step_cache, "_capture", lambda *_: pytest.fail("captured again"))
    assert step_cache.captured_step(f"{net}:build", 2) == step


def test_whatever_matters_makes_another_entry(net: Path) -> None:
    spec = parse_spec(f"{net}:build", 2)
    before = step_cache.entry(spec, 2)
    assert step_cache.entry(spec, 3) != before
    assert step_cache.entry(parse_spec(f"{net}:other", 2), 2) != before
    net.write_text(NET.format(width=5))
    assert step_cache.entry(spec, 2) != before
    assert step_cache.captured_step(f"{net}:build", 2).layers[0].conv.co == 5


def test_sizes_of_built_ins_make_entries(net: Path) -> None:
    specs = ["resnet18", "resnet18@224", "resnet50", "vit"]
    assert len({step_cache.entry(parse_spec(each, 1), 1) for each in specs}) == len(specs)
    same = [step_cache.entry(parse_spec(each, 1), 1) for each in ("resnet18", "resnet18@64")]
    assert same[0] == same[1]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"format": 1}'])
def test_a_damaged_entry_is_captured_anew(net: Path, damage: bytes) -> None:
    step = step_cache.captured_step(f"{net}:build", 2)
    path = step_cache.entry(parse_spec(f"{net}:build", 2), 2)
    path.write_bytes(damage)
    assert step_cache.captured_step(f"{net}:build", 2) == step
    assert path.read_text() == step.to_json()


def test_an_interrupted_write_leaves_nothing(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step_cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step_cache.captured_step(f"{net}:build", 2)
    assert list((net.parent / "cache" / "steps").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_done_without(
    net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (net.parent / "cache").write_text("a file where the folder should be")
    assert step_cache.captured_step(f"{net}:build", 2).batch == 2


def test_every_module_that_capture_uses_is_in_the_key() -> None:
    code = "import sparsat.dataflow.capture, sys; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    prefix = "sparsat.dataflow."
    used = {name.removeprefix(prefix) for name in run.stdout.split() if name.startswith(prefix)}
    assert used <= set(step_cache.SOURCES)
