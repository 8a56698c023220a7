"""What one component costs on UltraScale+ and how fast it could run, by Yosys.

Estimates by Yosys and by the delays in `sparsat.hw.tools.delays`, not results of place and route.
"""

from collections.abc import Container
from dataclasses import dataclass

from amaranth.lib.wiring import Component

from sparsat.hw.tools.timing import Path, critical_path
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources, count_resources, synthesize


@dataclass(frozen=True)
class Estimate:
    """Primitives and slowest path of a component."""

    resources: Resources
    path: Path


def estimate(name: str, component: Component) -> Estimate:
    """Map one component; `name` becomes its Verilog module."""
    return estimate_verilog(name, to_verilog(component, name))


def estimate_verilog(name: str, verilog: str, boxes: Container[str] = ()) -> Estimate:
    """Map module `name`, without what is in the black boxes of these names."""
    netlist = synthesize(verilog, name)
    cells = {cell: each for cell, each in netlist["cells"].items() if each["type"] not in boxes}
    netlist = {**netlist, "cells": cells}
    return Estimate(count_resources(netlist), critical_path(netlist))
