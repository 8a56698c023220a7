"""Verilog of the array: each repeated part once, and the array that instantiates them."""

import json
import os
import tempfile
from pathlib import Path

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout

from sparsat.hw.config import SATConfig
from sparsat.hw.edges import col_word
from sparsat.hw.parts import Parts
from sparsat.hw.request import request_layout
from sparsat.hw.stce import STCE, part_makers, stce_ports
from sparsat.hw.tools.verilator import waiver_file
from sparsat.hw.tools.verilog import to_verilog


def stce_verilog(config: SATConfig) -> str:
    """Module `stce` (the top) and the modules of its parts as one Verilog text."""
    parts = Parts(part_makers(config), once=True)
    return verilog_with(parts, STCE(config=config, parts=parts), "stce")


def verilog_with(parts: Parts, top: wiring.Component, name: str) -> str:
    """Module `name` and the modules of the parts that it instantiates, as one Verilog text."""
    texts = [to_verilog(top, name)]
    texts += [to_verilog(part, part_name) for part_name, part in parts.modules()]
    return "\n".join(texts)


def description(config: SATConfig) -> dict:
    """JSON-ready: the configuration, the ports of module `stce` and the fields of their words.

    A word of `a_`, `b_`, `c_` is taken in every cycle in which its `_ready_` is high: it must be
    there. `i` is a valid/ready stream; `step_valid` says that the operands of one more slot are.
    """
    ports = [("clk", "in", 1), ("rst", "in", 1)]
    signature = wiring.Signature(stce_ports(config))
    for path, member, _ in signature.flatten(signature.create()):
        direction = "in" if member.flow is wiring.In else "out"
        ports.append(("__".join(map(str, path)), direction, Shape.cast(member.shape).width))
    names = ("name", "direction", "width")
    width = config.fmt.width
    words = {
        "i__payload": request_layout(config),
        "a_*": StructLayout({f"value_{n}": width for n in range(config.a_link)}),
        "b_*": col_word(config),
    }
    return {
        "schema": 1,
        "top": "stce",
        "config": config.to_dict(),
        "ports": [dict(zip(names, port, strict=True)) for port in ports],
        "fields": {name: _fields(layout) for name, layout in words.items()},
    }


def _fields(layout: StructLayout) -> list[dict]:
    """Where each field of a word lies, in bits from the lowest."""
    return [{"name": name, "offset": field.offset, "width": field.width} for name, field in layout]


def write_array(config: SATConfig, folder: Path) -> list[Path]:
    """Write `stce.v`, `config.json` and `lint.vlt` into `folder`; all of them, or on failure none.

    Returns their paths. OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".generate-") as name:
        files = {
            "stce.v": stce_verilog(config),
            "config.json": json.dumps(description(config), indent=2) + "\n",
            "lint.vlt": waiver_file(),
        }
        for file, text in files.items():
            (Path(name) / file).write_text(text)
        for file in files:
            os.replace(Path(name) / file, folder / file)
    return [folder / file for file in files]
