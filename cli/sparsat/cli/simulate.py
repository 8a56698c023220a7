"""`sparsat simulate`: a training step on the simulated machine."""

from pathlib import Path
from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors

HELP = """Simulate a training step of MODEL, sparse and dense, cycle by cycle.

MODEL is resnet9, vit, vgg19, resnet18 or resnet50, one of them at another image size
(resnet18@224), or path.py:factory. A model is captured once; later runs start at once.
"""

EXAMPLES = """Examples:

sparsat simulate resnet18 --pattern 2:8

sparsat simulate resnet50 --batch 64 --schedule paper --json step.json --trace step.trace.json

sparsat simulate nets/mine.py:build@64 --all
"""


def simulate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name or path.py:factory.")],
    pattern: Annotated[str, typer.Option(help="N:M, N kept of every M, or dense.")] = "2:8",
    batch: Annotated[int, typer.Option(help="Examples in a step.")] = 512,
    config: Annotated[str, typer.Option(help="tiny, small, vcu1525 or vcu1525_max.")] = "vcu1525",
    schedule: Annotated[
        str, typer.Option(help="optimal, paper, os, ws, no-interleave or online-sore.")
    ] = "optimal",
    memory: Annotated[str, typer.Option(help="fixed: a latency, then a line per cycle.")] = "fixed",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a trace for ui.perfetto.dev.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show every operation.")] = False,
) -> None:
    """Check the request, then capture, simulate, write and print."""
    with one_line_errors("stopped; nothing was written"):
        from sparsat.cli import requests, tables
        from sparsat.cli.files import check_writable, whole_file
        from sparsat.hw.config import preset
        from sparsat.sim import simulate as sim
        from sparsat.sim.trace import write_trace

        chosen, policy = preset(config), requests.schedule_of(schedule)
        wanted, kind = requests.pattern_of(pattern), requests.memory_of(memory)
        check_writable(json, trace)
        step = requests.step_of(model, batch)
        result = sim.simulate(step, chosen, policy, wanted, kind)
        if json:
            with whole_file(json) as file:
                file.write(result.to_json())
        if trace:
            with whole_file(trace) as file:
                write_trace(result.sparse, file)
        tables.print_result(result, None if all_ else tables.ROWS)
