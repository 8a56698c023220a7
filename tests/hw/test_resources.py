import json
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from sparsat.hw.config import preset
from sparsat.hw.resources import estimate, to_json, to_markdown, total
from sparsat.hw.uspe import USPE


class ReferenceAdder(Component):
    """`q = a + b`, registered before and after: a row that can be checked by hand."""

    a: In(32)
    b: In(32)
    q: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(32), Signal(32)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.q.eq(a + b)]
        return m


@pytest.fixture(scope="module")
def adder():
    return estimate("reference_adder", ReferenceAdder())


def test_the_reference_row_is_what_a_hand_finds(adder):
    """32 LUTs, three registers of 32 bits, and the sum in `test_timing.test_adder`."""
    assert adder.row() == ("reference_adder", "1", "32", "0", "96", "0", "1.13", "881")


def test_markdown_has_one_line_for_each_block(adder):
    assert to_markdown([adder]).splitlines()[2].startswith("| reference_adder | 1 | 32 |")


def test_json_names_the_ends_of_the_path(adder):
    block = json.loads(to_json([adder]))["blocks"][0]
    assert (block["name"], block["lut"], block["path_ns"]) == ("reference_adder", 32, 1.135)
    assert block["end"].startswith("q[")


def test_the_total_counts_every_block(adder):
    sum_ = total(preset("tiny"), [adder, replace(adder, count=3)])
    assert (sum_.resources.lut, sum_.resources.ff) == (4 * 32, 4 * 96)
    assert sum_.path == adder.path


def test_a_cell_keeps_within_its_budget():
    """450 LUT, one DSP slice, 300 MHz by the estimate."""
    cell = estimate("uspe", USPE(config=preset("vcu1525")))
    assert cell.resources.lut <= 450
    assert cell.resources.dsp == 1
    assert cell.path.delay_ps <= 3300
