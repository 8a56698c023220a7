import json
import re
from dataclasses import FrozenInstanceError, fields

import pytest

from sparsat.hw.config import PRESETS, SATConfig, preset
from sparsat.hw.formats import BF16, FP16

SMALL = preset("small")
WRONG = [
    ("rows", 0, "from 1 to 128"),
    ("rows", 129, "from 1 to 128"),
    ("cols", 0, "from 1 to 64"),
    ("cols", 65, "from 1 to 64"),
    ("cols", 32, "at most 16: a line, axi_bits·channels, holds a row of FP32"),
    ("m_max", 2, "4, 8 or 16"),
    ("m_max", 12, "4, 8 or 16"),
    ("m_max", 32, "4, 8 or 16"),
    ("depth", 2, "a power of two from 4 to 32"),
    ("depth", 12, "a power of two from 4 to 32"),
    ("depth", 64, "a power of two from 4 to 32"),
    ("a_regs", 8, "a power of two from m_max=16 to 64"),
    ("a_regs", 24, "a power of two from m_max=16 to 64"),
    ("a_regs", 128, "a power of two from m_max=16 to 64"),
    ("b_regs", 8, "a power of two from m_max=16 to 64"),
    ("b_regs", 128, "a power of two from m_max=16 to 64"),
    ("a_link", 0, "1 or 2 values per cycle"),
    ("a_link", 4, "1 or 2 values per cycle"),
    *[(f"{x}_scratch_kib", 0, "from 1 to 65536 KiB") for x in "abc"],
    *[(f"{x}_scratch_kib", 65537, "from 1 to 65536 KiB") for x in "abc"],
    *[("sore_lanes", size, "a divisor of cols=8") for size in (0, -1, 3, 16)],
    *[("wuve_lanes", size, "a divisor of cols=8") for size in (0, -1, 3, 16)],
    *[("axi_bits", size, "a power of two, 64 to 512") for size in (32, 384, 1024)],
    *[("channels", size, "1, 2 or 4") for size in (0, 3, 5)],
    ("clock_hz", 0.9e6, "from 1 MHz to 1 GHz"),
    ("clock_hz", 1.1e9, "from 1 MHz to 1 GHz"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG)
def test_a_wrong_field_is_named_with_its_value_and_range(field, value, allowed):
    message = f"SATConfig 'small': {field} is {value!r}, it must be {allowed}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SMALL.with_(**{field: value})


def test_every_constrained_field_is_tried():
    assert {field for field, _, _ in WRONG} == {f.name for f in fields(SATConfig)} - {"name", "fmt"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", 1),
        ("rows", 128),
        ("cols", 16),
        ("depth", 4),
        ("depth", 32),
        ("a_regs", 16),
        ("b_regs", 64),
        ("a_link", 2),
        ("axi_bits", 256),
        ("channels", 4),
        ("sore_lanes", 8),
        ("wuve_lanes", 8),
        ("clock_hz", 1e9),
        ("fmt", BF16),
    ],
)
def test_the_ends_of_a_range_are_in_it(field, value):
    assert getattr(SMALL.with_(**{field: value}), field) == value


def test_an_array_may_have_one_column_or_sixty_four():
    assert SMALL.with_(cols=1, sore_lanes=1, wuve_lanes=1).cells == 8
    assert SMALL.with_(cols=64, channels=4).cells == 512


def test_a_port_may_have_sixty_four_bits():
    assert SMALL.with_(axi_bits=64, channels=4).line_bytes == 32


def test_operand_registers_may_be_as_small_as_the_largest_group():
    assert SMALL.with_(m_max=4, a_regs=4, b_regs=4).a_regs == 4


def test_presets_go_by_their_names():
    sizes = {name: (c.rows, c.cols) for name, c in PRESETS.items()}
    assert sizes == {
        "tiny": (4, 4),
        "small": (8, 8),
        "vcu1525": (32, 32),
        "vcu1525_max": (32, 32),
    }
    assert all(preset(name) is config and config.name == name for name, config in PRESETS.items())


def test_an_unknown_preset_is_named_with_the_known_ones():
    message = "config 'huge' is unknown, it must be one of tiny, small, vcu1525, vcu1525_max"
    with pytest.raises(ValueError, match=f"^{message}$"):
        preset("huge")


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda config: config.name)
def test_to_dict_is_ready_for_json(config):
    read = json.loads(json.dumps(config.to_dict()))
    assert read.keys() == {f.name for f in fields(SATConfig)}
    assert SATConfig(**{**read, "fmt": FP16}) == config


def test_derived_values():
    assert SMALL.cells == 64
    assert [SMALL.with_(m_max=m).index_bits for m in (4, 8, 16)] == [2, 3, 4]
    assert SMALL.peak_macs_per_second == 64 * 300e6


def test_a_configuration_is_frozen():
    with pytest.raises(FrozenInstanceError):
        setattr(SMALL, "rows", 3)  # noqa: B010 (mypy knows it, too)
