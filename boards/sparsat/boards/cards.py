"""The cards that a project can be generated for."""

from dataclasses import dataclass

from amaranth.vendor import XilinxPlatform
from amaranth_boards.rfsoc4x2 import RFSoC4x2Platform

from sparsat.boards.platforms import AlveoU200Platform, AlveoU250Platform, VCU1525Platform
from sparsat.hw.config import SATConfig
from sparsat.hw.device import DEVICES, LIMIT
from sparsat.hw.floorplan import Fit, fit
from sparsat.hw.resource_model import cost

GIB = 1 << 30


@dataclass(frozen=True)
class Card:
    """What a project depends on.

    Parameters
    ----------
    name : str
    platform : type[XilinxPlatform]
        Device and pins.
    script : str
        Its Vivado script, `tcl/<script>.tcl`: `vivado` where PCIe and DDR4 are built in logic,
        `zynq` where a processor has the memory.
    channels : int
        Memory ports at most.
    channel_bytes : int
        Memory behind each.
    slrs : int
        Dies of the device.
    xrt : str or None
        The platform that Vitis links for, where there is one.
    board_part : str
        Board files that Vivado needs, "" where it needs none.
    """

    name: str
    platform: type[XilinxPlatform]
    script: str
    channels: int
    channel_bytes: int
    slrs: int
    xrt: str | None = None
    board_part: str = ""

    @property
    def part(self) -> str:
        return f"{self.platform.device}-{self.platform.package}-{self.platform.speed}"

    @property
    def flows(self) -> tuple[str, ...]:
        return ("vivado", "vitis") if self.xrt else ("vivado",)

    def check(self, config: SATConfig, flow: str) -> None:
        """ValueError, in one line, where the card has no such flow, too few memory ports, or by the
        estimate no room."""
        if flow not in self.flows:
            allowed = " or ".join(self.flows)
            raise ValueError(f"board {self.name}: flow {flow!r} is unknown, it must be {allowed}")
        if config.channels > self.channels:
            raise ValueError(
                f"board {self.name}: config {config.name} has {config.channels} memory ports, "
                f"the board has at most {self.channels}"
            )
        placed = self.floorplan(config)
        if placed and not placed.fits:
            raise ValueError(
                f"board {self.name}: config {config.name} does not fit beside the shell at "
                f"{LIMIT:.0%} of any die: {placed.reason}"
            )

    def floorplan(self, config: SATConfig) -> Fit | None:
        """Where the machine lies; None if it is not known what the shell leaves."""
        return fit(cost(config), DEVICES[self.name]) if self.name in DEVICES else None


CARDS = {
    card.name: card
    for card in (
        Card(
            "vcu1525",
            VCU1525Platform,
            "vivado",
            channels=4,
            channel_bytes=16 * GIB,
            slrs=3,
            xrt="xilinx_vcu1525_xdma_201830_1",
        ),
        Card(
            "u200",
            AlveoU200Platform,
            "vivado",
            channels=4,
            channel_bytes=16 * GIB,
            slrs=3,
            xrt="xilinx_u200_gen3x16_xdma_2_202110_1",
        ),
        Card(
            "u250",
            AlveoU250Platform,
            "vivado",
            channels=4,
            channel_bytes=16 * GIB,
            slrs=4,
            xrt="xilinx_u250_gen3x16_xdma_4_1_202210_1",
        ),
        Card(
            "rfsoc4x2",
            RFSoC4x2Platform,
            "zynq",
            channels=1,
            channel_bytes=2 * GIB,
            slrs=1,
            board_part="rfsoc4x2",
        ),
    )
}


def card(name: str) -> Card:
    """The named card. ValueError that lists the cards."""
    if name not in CARDS:
        raise ValueError(f"board {name!r} is unknown, it must be one of {', '.join(CARDS)}")
    return CARDS[name]
