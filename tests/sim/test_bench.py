"""What the simulator costs is measured in processes that know nothing of each other."""

import pytest

from sparsat.sim import bench
from sparsat.sim.bench import alone, capture_cost, load_cost, step_cost


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARSAT_CACHE", str(tmp_path))
    return tmp_path


def test_a_step_on_disk_needs_no_pytorch(monkeypatch, fresh_cache):
    monkeypatch.setattr(bench, "REPEATS", 2)
    cost = alone(load_cost, "resnet9", 1)  # the first of its processes captures
    assert list(fresh_cache.glob("steps/*.json"))
    assert not cost.torch
    assert cost.beyond_torch == cost.peak
    cost = alone(step_cost, "resnet9", 1, (2, 8))
    assert not cost.torch
    assert cost.counts["instructions"] > 0
    assert 0 < cost.counts["scheduling"] < cost.work


def test_capture_leaves_the_cache_alone(monkeypatch, fresh_cache):
    monkeypatch.setattr(bench, "REPEATS", 1)
    cost = alone(capture_cost, "resnet9", 1)
    assert list(fresh_cache.iterdir()) == []
    assert cost.torch
    assert 0 < cost.beyond_torch < cost.peak
