import json

import pytest

from sparsat.hw.resources import ReferenceAdder, estimate, to_json, to_markdown


@pytest.fixture(scope="module")
def adder():
    return estimate("reference_adder", ReferenceAdder())


def test_the_reference_row_is_what_a_hand_finds(adder):
    """32 LUTs, three registers of 32 bits, and the sum in `test_timing.test_adder`."""
    assert adder.row() == ("reference_adder", "32", "0", "96", "0", "0", "0", "1.13", "881", "2")


def test_markdown_has_one_line_for_each_block(adder):
    assert to_markdown([adder]).splitlines()[2].startswith("| reference_adder | 32 |")


def test_json_names_the_ends_of_the_path(adder):
    block = json.loads(to_json([adder]))["blocks"][0]
    assert (block["name"], block["lut"], block["path_ns"]) == ("reference_adder", 32, 1.135)
    assert block["end"].startswith("q[")
