"""Runs of task "tiny" train the tiny task."""

import pytest

from sparsat.algo.training import run
from tiny_task import tiny


@pytest.fixture(autouse=True)
def _tiny_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "make_task", tiny)
