"""Verilog of the accelerator: each repeated part once, and the top that instantiates them."""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from amaranth.hdl import Shape
from amaranth.lib import wiring

from sparsat.hw import core, stce
from sparsat.hw.config import SATConfig
from sparsat.hw.parts import Parts
from sparsat.hw.register_map import register_map
from sparsat.hw.sat import SAT, sat_ports
from sparsat.hw.stce import STCE
from sparsat.hw.tools.verilator import waiver_file
from sparsat.hw.tools.verilog import to_verilog


class Port(NamedTuple):
    """A port of a Verilog module; `direction` is "in" or "out"."""

    name: str
    direction: str
    width: int


def stce_verilog(config: SATConfig) -> str:
    """Module `stce`, the array alone, and the modules of its parts as one Verilog text."""
    parts = Parts(stce.part_makers(config), once=True)
    return _verilog(parts, STCE(config=config, parts=parts), "stce")


def sat_verilog(config: SATConfig) -> str:
    """Module `sat`, the accelerator, and the modules of its parts as one Verilog text."""
    parts = Parts(core.part_makers(config), once=True)
    return _verilog(parts, SAT(config=config, parts=parts), "sat")


def ports(config: SATConfig) -> list[Port]:
    """The ports of module `sat`."""
    members = sat_ports(config).items()
    found = [
        Port(name, "in" if each.flow is wiring.In else "out", Shape.cast(each.shape).width)
        for name, each in members
    ]
    return [Port("clk", "in", 1), Port("rst", "in", 1), *found]


def description(config: SATConfig) -> dict:
    """JSON-ready: the configuration, the ports of module `sat`, its registers."""
    return {
        "schema": 1,
        "top": "sat",
        "config": config.to_dict(),
        "ports": [port._asdict() for port in ports(config)],
        "registers": [register._asdict() for register in register_map(config).values()],
    }


def write_accelerator(config: SATConfig, folder: Path) -> list[Path]:
    """Write `sat.v`, `config.json` and `lint.vlt` into `folder`; all of them, or on failure none.

    Returns their paths. OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".generate-") as name:
        files = {
            "sat.v": sat_verilog(config),
            "config.json": json.dumps(description(config), indent=2) + "\n",
            "lint.vlt": waiver_file(),
        }
        for file, text in files.items():
            (Path(name) / file).write_text(text)
        for file in files:
            os.replace(Path(name) / file, folder / file)
    return [folder / file for file in files]


def _verilog(parts: Parts, top: wiring.Component, name: str) -> str:
    """Module `name` and the modules of the parts that it instantiates, as one Verilog text."""
    texts = [to_verilog(top, name)]
    texts += [to_verilog(part, part_name) for part_name, part in parts.modules()]
    return "\n".join(texts)
