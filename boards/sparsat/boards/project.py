"""A folder from which Vivado or Vitis builds the card's bitstream."""

import json
import os
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from sparsat.boards.cards import Card
from sparsat.boards.constraints import constraints
from sparsat.boards.readme import readme
from sparsat.boards.wrapper import wrapper
from sparsat.hw.config import SATConfig
from sparsat.hw.emit import description, ports
from sparsat.hw.register_map import register_map

SCRIPTS = {"vivado": ("package_ip.tcl", "cells.tcl"), "vitis": ("package_ip.tcl",)}
"""Scripts beside `build.tcl`, by flow."""
JOBS = 8


def write_project(
    card: Card,
    flow: str,
    config: SATConfig,
    verilog: str,
    folder: Path,
) -> list[Path]:
    """Write everything a user with Vivado needs into `folder`; all of it, or on failure nothing.

    Parameters
    ----------
    card, flow, config
        What to build; `Card.check` says what goes together.
    verilog
        Module `sat`, as `sat_verilog` makes it.
    folder
        It is made if it is missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        The files, in the order in which a reader wants them.

    ValueError where card, flow and config do not fit; OSError where the folder cannot be written.
    """
    card.check(config, flow)
    texts = {
        "README.md": readme(card, flow, config),
        "build.tcl": _tcl("vitis" if flow == "vitis" else card.script),
        **{name: _tcl(name.removesuffix(".tcl")) for name in SCRIPTS[flow]},
        "settings.tcl": settings(card, config),
        "config.json": json.dumps(description(config), indent=2) + "\n",
        "rtl/sat.v": verilog,
        "rtl/sat_card.v": wrapper(ports(config)),
    }
    if flow == "vitis":
        texts["link.cfg"] = link_config(config)
    else:
        texts["card.xdc"] = constraints(card, config)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".generate-") as name:
        for file, text in texts.items():
            path = Path(name) / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (folder / "rtl").mkdir(exist_ok=True)
        for file in texts:
            os.replace(Path(name) / file, folder / file)
    return [folder / file for file in texts]


def settings(card: Card, config: SATConfig) -> str:
    """What the scripts need to know, as Tcl."""
    registers = register_map(config)
    bases = [registers[f"MEMORY_BASE_{port}"].offset for port in range(config.channels)]
    values = {
        "part": card.part,
        "board_part": card.board_part or "{}",
        "channels": config.channels,
        "clock_mhz": f"{config.clock_hz / 1e6:g}",
        "base_registers": "{" + " ".join(f"0x{offset:x}" for offset in bases) + "}",
        "jobs": JOBS,
    }
    return "".join(f"set {name} {value}\n" for name, value in values.items())


def link_config(config: SATConfig) -> str:
    """What v++ connects: each memory port to a bank of its own."""
    lines = ["[connectivity]", "nk=sat_card:1:sat_card_1"]
    lines += [f"sp=sat_card_1.m_axi_{i}:DDR[{i}]" for i in range(config.channels)]
    lines += ["", "[clock]", f"freqHz={config.clock_hz:.0f}:sat_card_1.ap_clk", ""]
    return "\n".join(lines)


def missing_tool(flow: str) -> str | None:
    """What the user cannot run here, in one sentence, or None."""
    tools = ("vivado", "v++") if flow == "vitis" else ("vivado",)
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return None
    return (
        f"{' and '.join(missing)} not on PATH here: copy the folder to a machine that has it, "
        "and run what README.md says"
    )


def _tcl(name: str) -> str:
    return files(__package__).joinpath(f"tcl/{name}.tcl").read_text()
