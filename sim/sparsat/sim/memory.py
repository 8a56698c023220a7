"""Memory: when a burst's lines are served. All ports work in lockstep, a line is one beat of each.

    memory = new_memory("ddr4", config)
    first = serve(memory, asked, now, line, lines, write)

`fixed` serves one line per cycle and nothing else. `ddr4` has, behind each port, the banks of one
rank of DDR4-2400 with pages left open, and serves one line per cycle at best. From the bottom, an
address gives the place in the page, the bank, the row: so a stream goes through all banks before it
comes back to one, and two streams rarely meet in one. Bank groups are not modelled: controllers
spread neighbouring lines over them, so that the longer tCCD_L never shows.
"""

from math import ceil

import numpy as np
from numba import njit

from sparsat.hw.config import SATConfig
from sparsat.hw.timing import BANKS, PAGE_BYTES
from sparsat.sim.records import record

LATENCY = 60
"""Cycles from the end of a burst's service until its lines have arrived, or are safe."""
MEMORIES = ("fixed", "ddr4")

PEAK = 19.2e9
"""Bytes per second of one port: 64 bits at 2400 MT/s."""

# Micron, data sheet "8Gb: x4, x8, x16 DDR4 SDRAM", MT40A2G4-083 (DDR4-2400, 17-17-17), in ns and
# clocks of 1/1.2 ns; refresh at normal temperature.
T_CK = 1 / 1.2
CL, CWL, BURST_CLOCKS = 17, 12, 4
T_RCD = 14.16
T_RP = 14.16
T_RAS = 32.0
T_RC = 46.16
T_RTP = 7.5
T_WR = 15.0
T_WTR_L = 7.5
T_REFI = 7800.0
T_RFC = 350.0


TIMING = record(
    "rcd rp ras rc read_to_precharge write_to_precharge read_to_write write_to_read "
    "refresh_interval refresh"
)
"""In cycles of the machine. Those of commands count from the cycle that serves a line."""
BANK = record("page active closable openable")
"""A bank: its open page or -1, when that was activated, from when on it may be closed, and from
when on it may be opened next (by tRC or a refresh)."""
BUS = record("read write refresh")
"""Cycles of the last line read and written, and of the next refresh."""
MEMORY = record("latency page_lines", timing=TIMING, banks=(BANK, BANKS), bus=BUS)
"""A memory and its state; `latency` as `LATENCY`. `fixed` has no pages: `page_lines` is 0."""


def new_memory(name: str, config: SATConfig, latency: int = LATENCY) -> np.ndarray:
    """One record: memory of that name at time 0, so many cycles away.

    ValueError where there is none, or its ports would be faster than DDR4.
    """
    if name not in MEMORIES:
        raise ValueError(f"unknown memory {name!r}: known are {', '.join(MEMORIES)}")
    port = config.axi_bits // 8
    memory = np.zeros(1, MEMORY)
    memory["latency"] = latency
    if name == "fixed":
        return memory
    if port * config.clock_hz > PEAK:
        mhz = config.clock_hz / 1e6
        raise ValueError(
            f"config {config.name}: a port of {config.axi_bits} bits at {mhz:g} MHz "
            f"moves {port * config.clock_hz / 1e9:g} GB/s, DDR4-2400 at most {PEAK / 1e9:g}"
        )
    timing = _timing(config.clock_hz)
    memory["page_lines"], memory["timing"] = PAGE_BYTES // port, timing
    memory["banks"]["page"] = -1
    bus = memory["bus"]
    bus["read"] = bus["write"] = -timing["refresh_interval"]
    bus["refresh"] = timing["refresh_interval"]
    return memory


def _timing(clock_hz: float) -> np.ndarray:
    def cycles(ns: float) -> int:
        return ceil(round(ns * clock_hz / 1e9, 6))

    values = {
        "rcd": cycles(T_RCD),
        "rp": cycles(T_RP),
        "ras": cycles(T_RAS),
        "rc": cycles(T_RC),
        "read_to_precharge": cycles(T_RTP),
        "write_to_precharge": cycles((CWL + BURST_CLOCKS) * T_CK + T_WR),
        "read_to_write": cycles((CL + BURST_CLOCKS + 2 - CWL) * T_CK),
        "write_to_read": cycles((CWL + BURST_CLOCKS) * T_CK + T_WTR_L),
        "refresh_interval": int(T_REFI * clock_hz / 1e9),
        "refresh": cycles(T_RFC),
    }
    return np.array([tuple(values[name] for name in TIMING.names or ())], TIMING)


@njit
def serve(memory, asked, now, line, lines, write):
    """The cycle that serves the first line of a burst; the others follow, one per cycle.

    The burst lies in one page, was asked for in cycle `asked`, and the memory is its own from `now`
    on: until then the bank may be made ready, but no line be served.
    """
    if memory.page_lines == 0:
        return now
    page = line // memory.page_lines
    bank = memory.banks[page % BANKS]
    bus = memory.bus
    first = max(now, _open(memory.timing, bank, page, asked), _turned(memory.timing, bus, write))
    while first >= bus.refresh:
        _refresh(memory)
        first = max(now, _open(memory.timing, bank, page, asked))
    _use(memory.timing, bank, page, asked, first + lines - 1, write)
    if write:
        bus.write = first + lines - 1
    else:
        bus.read = first + lines - 1
    return first


@njit
def _activated(timing, bank, asked):
    """When a page can be activated that is not open."""
    if bank.page < 0:
        return max(asked, bank.openable)
    return max(max(asked, bank.closable) + timing.rp, bank.openable)


@njit
def _open(timing, bank, page, asked):
    """When the first line of the page can be served, as far as its bank goes."""
    if bank.page == page:
        return bank.active + timing.rcd
    return _activated(timing, bank, asked) + timing.rcd


@njit
def _turned(timing, bus, write):
    """When the bus is turned round."""
    return bus.read + timing.read_to_write if write else bus.write + timing.write_to_read


@njit
def _use(timing, bank, page, asked, last, write):
    """The page is open, and its last line is served in cycle `last`."""
    if bank.page != page:
        bank.active = _activated(timing, bank, asked)
        bank.openable = bank.active + timing.rc
        bank.closable = bank.active + timing.ras
        bank.page = page
    after = timing.write_to_precharge if write else timing.read_to_precharge
    bank.closable = max(bank.closable, last + after)


@njit
def _refresh(memory):
    """Close all banks when they may be closed, then refresh them."""
    begin = memory.bus.refresh
    for bank in memory.banks:
        if bank.page >= 0:
            begin = max(begin, bank.closable)
    done = begin + memory.timing.rp + memory.timing.refresh
    for bank in memory.banks:
        bank.page = -1
        bank.openable = done
    memory.bus.refresh += memory.timing.refresh_interval
