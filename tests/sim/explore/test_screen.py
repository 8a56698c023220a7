"""The estimate that designs are screened by, against scheduler and simulator."""

from dataclasses import replace
from random import Random

import pytest

from sparsat.dataflow.choose import choose, estimate
from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.sites import sites
from sparsat.dataflow.step_cache import captured_step
from sparsat.hw.config import preset
from sparsat.sim.boards import board
from sparsat.sim.explore import screen
from sparsat.sim.explore.screen import estimate_step
from sparsat.sim.explore.summary import Summary, product_of
from sparsat.sim.memory import LATENCY
from sparsat.sim.simulate import simulate_once

CARD = board("vcu1525")


def random_config(rng: Random):
    return CARD.config.with_(
        rows=rng.choice([8, 16, 28, 40]),
        cols=rng.choice([16, 32]),
        depth=rng.choice([8, 16]),
        a_link=rng.choice([1, 2]),
        b_regs=rng.choice([16, 32]),
        sore_lanes=16,
        channels=rng.choice([2, 4]),
        b_scratch_kib=rng.choice([1024, 4096]),
        clock_hz=rng.choice([150e6, 200e6, 300e6]),
    )


@pytest.mark.parametrize("pattern", [None, (2, 8), (1, 4)])
@pytest.mark.parametrize("model", ["resnet9", "vit"])
def test_screening_is_near_the_simulator(model, pattern):
    """In training batches; there the array is what takes time."""
    rng, step = Random(f"{model} {pattern}"), captured_step(model, 64)
    summary = Summary.of(step, pattern)
    for _ in range(2):
        config = random_config(rng)
        got = estimate_step(config, CARD.memory, summary)
        totals = simulate_once(step, replace(CARD, config=config), SCHEDULES["optimal"], pattern)
        assert got.cycles == pytest.approx(totals.cycles, rel=0.05), config
        assert got.joules == pytest.approx(totals.totals()["energy_joules"], rel=0.2), config


def test_a_product_is_never_thought_faster_than_the_best_plan(monkeypatch):
    """And with all tilings tried it is almost never slower."""
    step, config = captured_step("resnet9", 16), preset("vcu1525")
    monkeypatch.setattr(screen, "TILINGS", 100)
    near = total = 0
    for site in sites(config, step, (2, 8)):
        if not isinstance(site.op.work, Conv | MatMul):
            continue
        pattern = site.pattern if site.op.stage != "WU" else None
        best = choose(config, SCHEDULES["optimal"].policy, site.nests, pattern, False)
        found = screen._best(config, product_of(step, site), step.batch)
        assert found.cycles >= estimate(best) + 2 * LATENCY
        near, total = near + (found.cycles <= 1.02 * (estimate(best) + 2 * LATENCY)), total + 1
    assert near >= 0.9 * total


def test_what_fits_no_tiling_is_said():
    config = preset("vcu1525").with_(a_scratch_kib=1)
    with pytest.raises(ValueError, match="fits none of the tilings"):
        estimate_step(config, "ddr4", Summary.of(captured_step("resnet9", 16), None))
