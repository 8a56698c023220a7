"""What machines cost by the model: against what was measured, by hand, and what fits."""

import numpy as np
import pytest

from sparsat.hw import measure
from sparsat.hw.blocks import BLOCKS, REFERENCE, VARIED, changed
from sparsat.hw.config import PRESETS, preset
from sparsat.hw.device import KINDS, LIMIT, VU9P, Device
from sparsat.hw.floorplan import fit
from sparsat.hw.memories import scratchpads
from sparsat.hw.resource_model import BlockCost, Cost, cost, samples_of

BY_NAME = {block.name: block for block in BLOCKS}


def block_cost(name, config):
    (found,) = (each for each in cost(config).blocks if each.name == name)
    return found


def test_everything_that_is_to_be_measured_was():
    wanted = {(block, field, value) for block, field, value, _ in measure.jobs()}
    assert {(each.block, each.field, each.value) for each in measure.read()} == wanted


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_what_was_measured_comes_back(block):
    for sample in samples_of(block.name):
        if sample.field == "mixed":
            continue
        config = changed(sample.field, sample.value) if sample.field else REFERENCE
        found = block_cost(block.name, config)
        resources = sample.resources
        expected = (resources.lut, resources.ff, resources.dsp)
        assert tuple(found.each[:3]) == pytest.approx(expected)
        assert found.path_ps == pytest.approx(sample.path_ps)


def test_between_measurements_costs_lie_between():
    few, more, many = (
        block_cost("load_b", REFERENCE.with_(cols=cols, sore_lanes=8, wuve_lanes=8)).each[0]
        for cols in (16, 24, 32)
    )
    assert few < more < many
    assert more == pytest.approx((few + many) / 2)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.fields], ids=lambda block: block.name)
def test_a_block_with_many_fields_changed(block):
    """Nothing is fitted to these. Of blocks of few LUTs, a dozen more or less are allowed."""
    (sample,) = (each for each in samples_of(block.name) if each.field == "mixed")
    found = block_cost(block.name, measure.MIXED).each
    assert found[0] == pytest.approx(sample.resources.lut, rel=0.1, abs=12)


@pytest.mark.parametrize("number", range(len(measure.DESIGNS)))
def test_whole_designs_are_within_a_tenth(number):
    (sample,) = (each for each in samples_of("sat") if each.value == number)
    lut, ff, dsp, *_ = cost(measure.DESIGNS[number]).total
    assert lut == pytest.approx(sample.resources.lut, rel=0.1)
    assert ff == pytest.approx(sample.resources.ff, rel=0.1)
    assert dsp == pytest.approx(sample.resources.dsp, rel=0.1)


def test_scratchpads_take_the_memories_that_yosys_takes():
    """Where it had to map them: at the reference."""
    found = {memory.name: memory for memory in scratchpads(REFERENCE)}
    measured = {
        name: samples_of(name)[0].resources.bram18 for name in ("feeder", "b_column", "c_column")
    }
    assert found["A"].bram18 // found["A"].count == measured["feeder"]
    of_b = found["B"].bram18 + found["B indices"].bram18
    assert of_b // REFERENCE.cols == measured["b_column"]
    assert found["C"].bram18 // REFERENCE.cols == measured["c_column"]


def test_scratchpads_hold_what_the_configuration_says():
    for config in PRESETS.values():
        bits = {
            memory.name: memory.count * memory.width * memory.depth
            for memory in scratchpads(config)
        }
        copies = -(-config.rows // 8)
        assert bits["A"] == copies * config.a_scratch_kib * 8192
        assert bits["B"] == config.b_scratch_kib * 8192
        assert bits["C"] == config.c_scratch_kib * 8192


def hand_made(rows: int, row_lut: float, rest_lut: float) -> Cost:
    """Equal rows, and a rest; the scratchpads are those of the reference."""
    config = REFERENCE.with_(rows=rows)
    nothing = np.zeros(len(KINDS))
    row, rest = nothing.copy(), nothing.copy()
    row[0], rest[0] = row_lut, rest_lut
    return Cost(
        config,
        [
            BlockCost("row", rows, "row", row, 1.0),
            BlockCost("rest", 1, "home", rest, 1.0),
            *(BlockCost(place, 1, place, nothing, 1.0) for place in "bc"),
        ],
    )


def test_rows_go_where_there_is_room():
    whole, half = (1000, 1, 1, 10_000, 10_000), (500, 1, 1, 10_000, 10_000)
    device = Device("hand", (whole, half, whole))
    placed = fit(hand_made(17, 90, 350), device)  # 5 beside the rest, 4, 8
    assert placed.fits
    assert sorted(placed.rows) == [4, 5, 8]
    assert placed.rows[placed.homes["home"]] == 5
    assert (placed.used <= LIMIT * device.dies).all()
    assert placed.used[:, 0].sum() == 17 * 90 + 350
    reasons = {
        (18, 90, 350): "17 rows find room, it has 18",
        (1, 100, 850): "what is not rows finds no die with room for it",
        (30, 100, 0): "it takes 150% of the lut that it may",
    }
    for sizes, reason in reasons.items():
        assert fit(hand_made(*sizes), device).reason == reason


def test_few_rows_stay_on_one_die():
    device = Device("hand", ((1000, 1, 1, 10_000, 10_000),) * 3)
    placed = fit(hand_made(3, 100, 100), device)
    assert sorted(placed.rows) == [0, 0, 3]
    assert set(placed.homes.values()) == {placed.rows.index(3)}


def test_scratchpads_go_where_there_are_memories():
    for kind in ("uram", "bram18"):
        die = tuple(10_000 if each in ("lut", kind) else 1 for each in KINDS)
        device = Device("hand", (die,) * 3)
        placed = fit(hand_made(4, 1, 1), device)
        assert placed.fits
        assert set(placed.memories.values()) == {kind}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_the_card(name):
    placed = fit(cost(preset(name)), VU9P)
    assert placed.fits, placed.reason
    assert sum(placed.rows) == preset(name).rows
    assert (placed.used <= LIMIT * VU9P.dies + 1e-6).all()


def test_the_largest_preset_is_the_largest_that_fits():
    config = preset("vcu1525_max")
    for change in ({"rows": config.rows + 4}, {"cols": 64}):
        if "cols" in change:
            change["rows"] = -(-config.cells // 64) + 1
        more = config.with_(**change)
        assert more.cells >= config.cells
        assert not fit(cost(more), VU9P).fits


def test_the_clock_leaves_a_margin_to_the_slowest_path():
    found = cost(preset("vcu1525"))
    period_ps = 1e12 / found.clock_hz
    assert period_ps >= 1.1 * found.slowest.path_ps
    assert found.clock_hz % 5e6 == 0


def test_every_field_varied_is_known():
    for block in BLOCKS:
        assert set(block.fields) <= set(VARIED)
