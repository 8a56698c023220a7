from pathlib import Path

from sparsat.hw.config import PRESETS, preset
from sparsat.hw.register_map import ADDRESS_BITS, config_id, register_map, to_markdown

PAGE = Path(__file__).parents[2] / "docs" / "registers.md"


def test_the_page_is_current():
    assert PAGE.read_text() == to_markdown(), "run `make registers`"


def test_words_are_apart():
    registers = register_map(preset("vcu1525")).values()
    offsets = [offset for register in registers for offset, _ in register.words()]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 and offset < 1 << ADDRESS_BITS for offset in offsets)


def test_each_port_has_a_base_and_no_other():
    for config in PRESETS.values():
        bases = [name for name in register_map(config) if name.startswith("MEMORY_BASE")]
        assert bases == [f"MEMORY_BASE_{port}" for port in range(config.channels)]


def test_configurations_are_told_apart():
    assert len({config_id(config) for config in PRESETS.values()}) == len(PRESETS)
    tiny = preset("tiny")
    assert config_id(tiny.with_(sore_lanes=2)) != config_id(tiny)
