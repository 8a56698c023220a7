"""The README of a generated project."""

from sparsat.boards.cards import Card
from sparsat.hw.config import SATConfig

_VIVADO = """
## Build

    vivado -mode batch -source build.tcl

packages the accelerator as an IP, makes the block design ({memory}), synthesizes, places and
routes, and leaves `sat.bit` and `reports/` here. It takes hours. `settings.tcl` holds what may be
changed: the device, the clock, the number of jobs.{board_files}
"""

_RUN_PCIE = """
## Run

Load `sat.bit` (Vivado's hardware manager), rescan PCIe, load the `xdma` driver; then

    sparsat card info --device xdma0 --config {config}
    sparsat card selftest --device xdma0 --config {config}

find the accelerator and run a layer on it. Memory channel i is at i · 16 GiB for the host.
"""

_VITIS = """
## Build

    vivado -mode batch -source build.tcl
    v++ --link -t hw --platform {platform} \\
        --config link.cfg -o sat.xclbin sat.xo

The first makes the kernel `sat.xo`, the second links it. The kernel is user managed
(`ap_ctrl` registers are not its way of starting): the host opens it as `ip`.

## Run

    sparsat card info --device sat.xclbin --config {config}
    sparsat card selftest --device sat.xclbin --config {config}
"""


def readme(card: Card, flow: str, config: SATConfig) -> str:
    """What the files are and what to do with them."""
    own = (
        "`link.cfg` | memory banks and clock, for `v++`"
        if flow == "vitis"
        else "`card.xdc` | pins, clocks, floorplan"
    )
    head = f"""# SparSAT on {card.name}

{config.rows} × {config.cols} cells at {config.clock_hz / 1e6:g} MHz (config `{config.name}`),
{config.channels} memory port{"s" * (config.channels > 1)} of {config.axi_bits} bits, device
{card.part}. Everything here was written by `sparsat generate`.

| file | is |
|---|---|
| `rtl/sat.v`, `rtl/sat_card.v` | the accelerator, and the module that is packaged |
| `build.tcl` and the scripts it reads | the project |
| {own} |
| `config.json` | the configuration, ports and registers |
"""
    if flow == "vitis":
        return head + _VITIS.format(platform=card.xrt, config=config.name)
    pcie = card.script == "vivado"
    memory = "PCIe, one DDR4 controller per memory port" if pcie else "the processor's memory"
    board_files = (
        f"\n\nThe board files of {card.board_part} must be installed in Vivado first."
        if card.board_part
        else ""
    )
    body = _VIVADO.format(memory=memory, board_files=board_files)
    return head + body + (_RUN_PCIE.format(config=config.name) if pcie else "")
