"""What machines cost by the model: against what was measured, by hand, and what fits."""

import pytest

from sparsat.hw import measure
from sparsat.hw.blocks import BLOCKS, REFERENCE, VARIED, changed
from sparsat.hw.config import PRESETS, preset
from sparsat.hw.device import KINDS, LIMIT, VU9P, Amount, Device
from sparsat.hw.memories import scratchpads
from sparsat.hw.resource_model import Cost, cost, fit, samples_of

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
        assert found.each.lut == pytest.approx(sample.resources.lut)
        assert found.each.ff == pytest.approx(sample.resources.ff)
        assert found.each.dsp == pytest.approx(sample.resources.dsp)
        assert found.path_ps == pytest.approx(sample.path_ps)


def test_between_measurements_costs_lie_between():
    few, more, many = (
        block_cost("load_b", REFERENCE.with_(cols=cols, sore_lanes=8)).each for cols in (16, 24, 32)
    )
    assert few.lut < more.lut < many.lut
    assert more.lut == pytest.approx((few.lut + many.lut) / 2)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.fields], ids=lambda block: block.name)
def test_a_block_with_many_fields_changed(block):
    """Nothing is fitted to these. Of blocks of few LUTs, a dozen more or less are allowed."""
    (sample,) = (each for each in samples_of(block.name) if each.field == "mixed")
    found = block_cost(block.name, measure.MIXED).each
    assert found.lut == pytest.approx(sample.resources.lut, rel=0.1, abs=12)


@pytest.mark.parametrize("number", range(len(measure.DESIGNS)))
def test_whole_designs_are_within_a_tenth(number):
    (sample,) = (each for each in samples_of("sat") if each.value == number)
    found = cost(measure.DESIGNS[number])
    total = sum((each.each * each.count for each in found.blocks), Amount())
    assert total.lut == pytest.approx(sample.resources.lut, rel=0.1)
    assert total.ff == pytest.approx(sample.resources.ff, rel=0.1)
    assert total.dsp == pytest.approx(sample.resources.dsp, rel=0.1)


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


def hand_made(rows: Amount, fixed: Amount, count: int) -> Cost:
    """A cost of `count` equal rows."""
    found = Cost(REFERENCE.with_(rows=count), [], [])
    found.__dict__.update(rows=rows * count, fixed=fixed, total=rows * count + fixed)
    return found


def test_rows_go_where_there_is_room():
    room = Amount(1000, 1000, 1000, 1000, 1000)
    device = Device("hand", (room,) * 3, (room, room * 0.5, room))
    row, fixed = Amount(lut=100, dsp=1), Amount(lut=350, ff=10)
    placed = fit(hand_made(row, fixed, 16), device, limit=0.8)  # 8 + 4 + 8, less 4 for the rest
    assert placed.fits
    assert sum(placed.rows) == 16
    assert placed.home != 1
    for used, die in zip(placed.used, device.left, strict=True):
        assert used.share(die)[0] <= 0.8
    too_many = fit(hand_made(row, fixed, 17), device, limit=0.8)
    assert not too_many.fits
    assert too_many.reason == "16 rows find room, it has 17 (lut)"
    too_large = fit(hand_made(row, Amount(uram=900), 1), device, limit=0.8)
    assert too_large.reason == "what is not rows takes 90% of a die's uram"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_the_card(name):
    placed = fit(cost(preset(name), VU9P), VU9P)
    assert placed.fits, placed.reason
    for used, die in zip(placed.used, VU9P.left, strict=True):
        assert all(getattr(used, kind) <= LIMIT * getattr(die, kind) for kind in KINDS)


def test_the_largest_preset_is_the_largest_that_fits():
    config = preset("vcu1525_max")
    for change in ({"rows": config.rows + 1}, {"cols": 64}):
        if "cols" in change:
            change["rows"] = -(-config.cells // 64) + 1
        more = config.with_(**change)
        assert more.cells > config.cells
        assert not fit(cost(more, VU9P), VU9P).fits


def test_the_clock_leaves_a_margin_to_the_slowest_path():
    found = cost(preset("vcu1525"))
    period_ps = 1e12 / found.clock_hz
    assert period_ps >= 1.1 * found.slowest.path_ps
    assert found.clock_hz % 5e6 == 0


def test_every_field_varied_is_known():
    for block in BLOCKS:
        assert set(block.fields) <= set(VARIED)
