"""XDC of a card's project: clocks, the pins of what is used, where the array's rows lie."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sparsat.boards.cards import Card
from sparsat.boards.pins import Pins, read_pins
from sparsat.hw.config import SATConfig

PCIE = {
    "pcie_refclk_clk_p": "pcie_refclk_p",
    "pcie_refclk_clk_n": "pcie_refclk_n",
    "pcie_perst_n": "pcie_perst_n",
}
"""Ports of the block design, and their signals in the pin table. The lanes follow from the place of
the PCIe block."""
DDR4 = (
    *("act_n", "adr", "ba", "bg", "ck_c", "ck_t", "cke", "cs_n", "dq", "dqs_c", "dqs_t", "odt"),
    *("reset_n", "parity"),
)
SINGLE = ("act_n", "reset_n", "parity")
"""Signals whose port has no index."""
RANKS = {"ck_c": 1, "ck_t": 1, "cke": 1, "cs_n": 1, "odt": 1}
"""Bits that a module of one rank uses, where the table has more."""
PARITY_PORT = "par"
VREF = "0.84"
VREF_BANKS = ((40, 41, 42), (65, 66, 67), (46, 47, 48), (70, 71, 72))
"""Banks of each channel whose inputs are compared with an internal reference of `VREF` volts."""


def constraints(card: Card, config: SATConfig) -> str:
    """The text of the XDC file."""
    lines = [f"# {card.name}, config {config.name}: written by sparsat generate"]
    if card.script == "vivado":
        lines += _pcie()
        for channel in range(config.channels):
            lines += _memory(channel)
        lines += _configuration()
    if card.slrs > 1:
        lines += blocks(rows_on_dies(card, config))
    return "\n".join([*lines, ""])


def rows_on_dies(card: Card, config: SATConfig) -> Sequence[int]:
    """How many rows lie on each die: as many as fit beside what else is there; where that is not
    known, equally many."""
    if placed := card.floorplan(config):
        return placed.rows
    ends = [die * config.rows // card.slrs for die in range(card.slrs + 1)]
    return [end - start for start, end in pairwise(ends)]


def blocks(counts: Sequence[int]) -> Iterator[str]:
    """Rows of the array in blocks, one per die: only the links between rows cross."""
    yield "# The array: one block of rows per die."
    for slr, count in enumerate(counts):
        first = sum(counts[:slr])
        rows = range(first, first + count)
        if not rows:
            continue
        names = "|".join(str(row) for row in rows)
        where = f"NAME =~ .*/stce/(edge_({names})|cell_({names})_[0-9]+)"
        yield f"create_pblock rows_{slr}"
        yield f"resize_pblock [get_pblocks rows_{slr}] -add SLR{slr}"
        cells = f"[get_cells -hierarchical -regexp -filter {{{where}}}]"
        yield f"add_cells_to_pblock [get_pblocks rows_{slr}] {cells}"


def _pcie() -> Iterator[str]:
    table = read_pins("vcu1525")
    yield "# PCIe"
    for port, signal in PCIE.items():
        yield from _place(port, table[signal])
    yield "set_property PULLUP true [get_ports pcie_perst_n]"
    yield "set_false_path -from [get_ports pcie_perst_n]"
    yield "create_clock -name pcie_refclk -period 10.000 [get_ports pcie_refclk_clk_p]"


def _memory(channel: int) -> Iterator[str]:
    table = read_pins("vcu1525")
    yield f"# Memory channel {channel}"
    for leg in "pn":
        clock = table[f"default_300mhz_clk{channel}_{leg}"]
        yield from _place(f"clk300_{channel}_clk_{leg}", clock)
    yield f"create_clock -name clk300_{channel} -period 3.333 [get_ports clk300_{channel}_clk_p]"
    for signal in DDR4:
        pins = table[f"ddr4_{channel}_{signal}"]
        pins = Pins(pins.balls[: RANKS.get(signal, len(pins.balls))], pins.standard)
        name = PARITY_PORT if signal == "parity" else signal
        yield from _place(f"ddr4_c{channel}_{name}", pins, indexed=signal not in SINGLE)
    for bank in VREF_BANKS[channel]:
        yield f"set_property INTERNAL_VREF {VREF} [get_iobanks {bank}]"


def _configuration() -> list[str]:
    return [
        "# Bitstream",
        "set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]",
        "set_property BITSTREAM.CONFIG.OVERTEMPSHUTDOWN ENABLE [current_design]",
    ]


def _place(port: str, pins: Pins, *, indexed: bool = False) -> Iterator[str]:
    for bit, ball in enumerate(pins.balls):
        name = f"{{{port}[{bit}]}}" if indexed else port
        standard = "" if pins.standard == "GT" else f" IOSTANDARD {pins.standard}"
        yield f"set_property -dict {{PACKAGE_PIN {ball}{standard}}} [get_ports {name}]"
