from pathlib import Path

import pytest

from sparsat.dataflow.step_cache import captured_step
from sparsat.sim.boards import board
from sparsat.sim.explore import search
from sparsat.sim.explore.database import Database
from sparsat.sim.explore.jobs import Here
from sparsat.sim.explore.search import Point, Search, Study


@pytest.fixture(scope="session")
def study() -> Study:
    return Study(captured_step("resnet9", 16), board("vcu1525"), ("2:8", "dense"), seed=5)


@pytest.fixture(scope="session")
def explored(study):
    """A function that explores into a file, in small rounds."""

    def explore(path: Path, budget: int = 24, executor=None, told=lambda *_: None) -> list[Point]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "ROUND", 8)
            patch.setattr(search, "SAMPLE", 2)
            with Database(path, {"seed": study.seed}) as database:
                return Search(study, database, executor or Here(), 2, told).run(budget)

    return explore
