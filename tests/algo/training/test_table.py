"""Tables compare at equal steps and equal cost; curves and Markdown show them."""

import math
from pathlib import Path
from typing import Any

import pytest

from sparsat.algo.training import curves, render, table
from tiny_task import Tiny


def finished(method: str, seed: int, scores: list[float], macs: float, start: int = 0) -> Any:
    settings = {"method": method, "pattern": None, "seed": seed, "numerics": "torch"}
    result = {
        "config": settings,
        "steps": 10 * (len(scores) - 1),
        "start_steps": start,
        "macs": macs,
        "dense_macs": 100.0,
        "cpu_seconds": 1.0,
        "metrics": {"accuracy": scores[-1]},
    }
    share = macs / max(1, len(scores) - 1)
    log = [{"step": 10 * i, "macs": share * i, "accuracy": s} for i, s in enumerate(scores)]
    return table.Finished(result, log)


def test_table_compares_at_equal_steps_and_equal_macs() -> None:
    runs = [
        finished("dense", 0, [0, 40, 80], 100),
        finished("dense", 1, [0, 60, 90], 100),
        finished("bdwp", 0, [0, 30, 70], 50),
        finished("bdwp", 1, [0, 30, 72], 50),
    ]
    built = table.build(Tiny, runs)
    dense, bdwp = built.rows
    assert (built.budget_steps, built.budget_macs) == (20, 50)
    assert dense.scores == (80, 90)
    assert dense.mean == 85
    assert dense.sd == pytest.approx(math.sqrt(50))
    assert (dense.iso_step, dense.iso_mac) == (85, 50)
    assert (bdwp.iso_step, bdwp.iso_mac) == (71, 71)
    assert (dense.cost, bdwp.cost) == (1.0, 0.5)


def test_curves_are_read_between_evaluations_and_not_beyond() -> None:
    one = finished("dense", 0, [0, 40, 80], 100)
    assert one.at("macs", 25, "accuracy") == 20
    assert one.at("step", 15, "accuracy") == 60
    assert one.at("macs", 101, "accuracy") is None
    late = finished("wanda", 0, [50], 120, start=20)
    late.rows[0]["macs"] = 120
    assert late.at("macs", 100, "accuracy") is None
    assert late.at("step", 20, "accuracy") == 50
    assert late.total_steps == 20


def test_matching_is_relative_to_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "matching", 0.95)
    monkeypatch.setattr(Tiny, "matched", ("accuracy",))
    runs = [finished(m, 0, [0, s], 10) for m, s in (("dense", 80), ("ste", 76), ("bdwp", 75.9))]
    rows = {row.label: row.matches for row in table.build(Tiny, runs).rows}
    assert rows["ste"] == {"accuracy": True}
    assert rows["bdwp"] == {"accuracy": False}


def test_markdown_and_curves(tmp_path: Path) -> None:
    runs = [finished("dense", 0, [0, 40, 80], 100), finished("bdwp", 0, [0, 30, 70], 50)]
    text = render.document(table.build(Tiny, runs))
    assert "| bdwp | 70.00 | – | 70.00 | 70.00 | 70.00 | 0.500 | 20 | 1 |" in text
    curves.draw(tmp_path / "curves.html", Tiny, runs)
    page = (tmp_path / "curves.html").read_text()
    assert "bdwp" in page
    assert "cdn.plot.ly" not in page.split("<body>")[0]
