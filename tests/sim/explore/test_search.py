"""The search: only designs that fit, all of the front simulated, and it can be stopped anywhere."""

import multiprocessing
import os
import signal
from collections import Counter

import pytest

from sparsat.hw.device import VU9P
from sparsat.hw.floorplan import fit
from sparsat.hw.resource_model import cost
from sparsat.sim.explore import jobs, search
from sparsat.sim.explore.database import Database
from sparsat.sim.explore.front import coarse, pareto
from sparsat.sim.explore.search import Search


class Counting(jobs.Here):
    """Counts what each design was given to do; is interrupted at the job of that number."""

    def __init__(self, stop: int = -1):
        self.jobs: Counter = Counter()
        self.stop = stop

    def submit(self, fn, /, *args, **kwargs):
        if self.stop == 0:
            raise KeyboardInterrupt
        self.stop -= 1
        given = args[-1] if fn is jobs.screen else [(args[1].config, args[2])]
        self.jobs.update((fn.__name__, *each) for each in given)
        return super().submit(fn, *args, **kwargs)


def plain(points):
    return [(point.design, point.objectives) for point in points]


@pytest.fixture(scope="module")
def whole(explored, tmp_path_factory):
    return explored(tmp_path_factory.mktemp("whole") / "results.sqlite")


def test_every_design_on_the_front_fits_and_is_simulated(study, explored, tmp_path):
    path = tmp_path / "results.sqlite"
    front = explored(path)
    assert {point.design.pattern for point in front} == {"2:8", "dense"}
    for point in front:
        assert fit(cost(point.candidate.config), VU9P).fits
    with Database(path, {"seed": study.seed}) as database:
        screened, simulated = database.screened(), database.simulated()
    assert len(screened) == 24
    for point in front:
        result = simulated[point.design.key]
        assert point.objectives == (result.seconds, screened[result.design].lut, result.joules)
    for pattern in study.patterns:
        points = [point.objectives for point in front if point.design.pattern == pattern]
        assert len(pareto(coarse(points))) == len(points)


@pytest.mark.parametrize("stop", [0, 2, 5])
def test_a_search_that_was_stopped_goes_on(explored, whole, tmp_path, stop):
    path = tmp_path / "stopped.sqlite"
    first, second = Counting(stop), Counting()
    with pytest.raises(KeyboardInterrupt):
        explored(path, executor=first)
    assert plain(explored(path, executor=second)) == plain(whole)
    repeated = set(first.jobs) & set(second.jobs)
    assert len(repeated) <= 2 * 2 * jobs.CHUNK  # what was under way
    third = Counting()
    explored(path, executor=third)
    assert not third.jobs


def test_nothing_is_lost_or_done_twice_after_a_kill(explored, study, whole, tmp_path):
    path = tmp_path / "killed.sqlite"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_killed, args=(study, path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with Database(path, {"seed": study.seed}) as database:
        kept = set(database.screened())
    assert len(kept) == 16
    told: Counter[str] = Counter()
    counting = Counting()
    front = explored(path, executor=counting, told=lambda what, count: told.update({what: count}))
    assert plain(front) == plain(whole)
    screened = [job for job in counting.jobs if job[0] == "screen"]
    assert len(screened) == 24 - 16
    assert set(counting.jobs.values()) == {1}
    assert told["screened"] == 24


def _killed(study, path):
    """Explores until 16 designs are screened."""
    search.ROUND, search.SAMPLE = 8, 2
    done: Counter[str] = Counter()

    def told(what: str, count: int) -> None:
        done[what] += count
        if done["screened"] >= 16:
            os.kill(os.getpid(), signal.SIGKILL)

    with Database(path, {"seed": study.seed}) as database:
        Search(study, database, jobs.Here(), 2, told).run(24)


def test_a_larger_budget_goes_on_from_a_smaller_one(explored, whole, tmp_path):
    path = tmp_path / "grown.sqlite"
    explored(path, budget=16)
    counting = Counting()
    assert plain(explored(path, executor=counting)) == plain(whole)
    assert sum(job[0] == "screen" for job in counting.jobs) == 8


def test_processes_and_a_cluster_find_the_same(explored, whole, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    with jobs.executor(2, None) as (pool, workers):
        assert workers == 2
        assert plain(explored(tmp_path / "pool.sqlite", executor=pool)) == plain(whole)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, jobs.executor(1, cluster.scheduler_address) as (pool, workers):
        assert workers == 2
        assert plain(explored(tmp_path / "cluster.sqlite", executor=pool)) == plain(whole)


def test_a_design_that_cannot_be_simulated_leaves_the_front(explored, whole, tmp_path, monkeypatch):
    worst = whole[0].candidate.config
    simulate = jobs.simulate

    def refuse(step, board, pattern):
        return "too large" if board.config == worst else simulate(step, board, pattern)

    monkeypatch.setattr(jobs, "simulate", refuse)
    front = explored(tmp_path / "refused.sqlite")
    assert front
    assert all(point.candidate.config != worst for point in front)
