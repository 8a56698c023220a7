"""The watcher of AXI itself: broken rules are found."""

from types import SimpleNamespace

import pytest

from axi_rules import AXI4, LITE, Bus

PINS = {"valid", "ready"}
READ = {"araddr": 0, "arlen": 0, "arsize": 6, "arburst": 1, "arvalid": 1, "arready": 1}
WRITE = {"awaddr": 0, "awlen": 1, "awsize": 6, "awburst": 1, "awvalid": 1, "awready": 1}
BEAT = {"wdata": 5, "wstrb": 1, "wlast": 0, "wvalid": 1, "wready": 1}
LAST = BEAT | {"wlast": 1}
RESPONSE = {"bvalid": 1, "bready": 1}
DATA = {"rdata": 7, "rlast": 1, "rvalid": 1, "rready": 1}
GOOD = {
    "read": [READ, DATA],
    "write": [WRITE, BEAT, LAST, RESPONSE],
    "data first": [BEAT, LAST, WRITE, RESPONSE],
    "waits": [LAST | {"wready": 0}, LAST],
}
BAD = {
    "m_w: .* became .*": [LAST | {"wready": 0}, LAST | {"wdata": 6}],
    "m_b: .* became None": [WRITE, BEAT, LAST, RESPONSE | {"bready": 0}, {}],
    "a response is not owed": [WRITE, BEAT, RESPONSE],
    "a beat was not asked for": [READ, DATA, DATA],
    "RLAST is wrong": [READ | {"arlen": 1}, DATA],
    "WLAST is wrong": [WRITE, LAST],
    "crosses 4 KiB": [READ | {"araddr": 4032, "arlen": 1}],
    "m_ar is valid in reset": [{"rst": 1}, READ],
}


def run(cycles, channels=AXI4):
    dut = SimpleNamespace(rst=SimpleNamespace(value=0))
    for channel, parts in channels.items():
        for part in PINS | set(parts):
            setattr(dut, f"m_{channel}{part}", SimpleNamespace(value=0))
    bus = Bus(dut, "m_", channels)
    for cycle in cycles:
        for name, pin in vars(dut).items():
            pin.value = cycle.get(name.removeprefix("m_"), 0)
        bus.sample()


@pytest.mark.parametrize("name", GOOD)
def test_what_is_allowed_passes(name):
    run(GOOD[name])


@pytest.mark.parametrize("message", BAD)
def test_broken_rules_are_found(message):
    with pytest.raises(AssertionError, match=message):
        run(BAD[message])


def test_one_word_of_axi_lite():
    address, word = {"awvalid": 1, "awready": 1}, {"wvalid": 1, "wready": 1}
    run([word, address, RESPONSE], LITE)
    with pytest.raises(AssertionError, match="not owed"):
        run([word, RESPONSE], LITE)
