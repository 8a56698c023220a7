"""`sparsat simulate`: a training step on the simulated machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsat.cli.errors import one_line_errors

if TYPE_CHECKING:
    from sparsat.sim.simulate import Result

HELP = """Simulate a training step of MODEL, sparse and dense, cycle by cycle.

MODEL is resnet9, vit, vgg19, resnet18 or resnet50, one of them at another image size
(resnet18@224), or path.py:factory. A model is captured once; later runs start at once.
"""

EXAMPLES = """Examples:

sparsat simulate resnet18 --pattern 2:8 --batch 512 --html resnet18.html

sparsat simulate resnet50 --batch 64 --schedule paper --json step.json --trace step.trace.json

sparsat simulate nets/mine.py:build@64 --config small --batch 4 --functional
"""


def simulate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name or path.py:factory.")],
    pattern: Annotated[str, typer.Option(help="N:M, N kept of every M, or dense.")] = "2:8",
    batch: Annotated[int, typer.Option(help="Examples in a step.")] = 512,
    board: Annotated[str, typer.Option(help="Machine, memory and its size.")] = "vcu1525",
    config: Annotated[
        str | None, typer.Option(help="Another machine: tiny, small, vcu1525 or vcu1525_max.")
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="optimal, paper, os, ws, no-interleave or online-sore.")
    ] = "optimal",
    memory: Annotated[
        str | None, typer.Option(help="Another memory: ddr4, or fixed (a line per cycle).")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a trace for ui.perfetto.dev.")
    ] = None,
    functional: Annotated[
        bool, typer.Option(help="Also run all values, against the golden model.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Show every operation.")] = False,
) -> None:
    """Check the request, then capture, simulate, write and print."""
    with one_line_errors("stopped; nothing was written"):
        from sparsat.cli import requests, tables
        from sparsat.cli.files import check_writable
        from sparsat.sim import simulate as sim
        from sparsat.sim.boards import board as board_of

        chosen = board_of(board).with_(config, memory)
        policy, wanted = requests.schedule_of(schedule), requests.pattern_of(pattern)
        check_writable(json, html, trace)
        step = requests.step_of(model, batch)
        result = sim.simulate(step, chosen, policy, wanted)
        if functional:
            _check_values(result)
        _write(result, json, html, trace)
        tables.print_result(result, None if all_ else tables.ROWS)


def _write(result: "Result", json: Path | None, html: Path | None, trace: Path | None) -> None:
    """All files or none."""
    from contextlib import ExitStack

    from sparsat.cli.files import whole_file
    from sparsat.sim.report import render
    from sparsat.sim.trace import write_trace

    with ExitStack() as files:
        if json:
            files.enter_context(whole_file(json)).write(result.to_json())
        if html:
            files.enter_context(whole_file(html)).write(render(result.report_data()))
        if trace:
            write_trace(result.sparse, files.enter_context(whole_file(trace)))


def _check_values(result: "Result") -> None:
    """Every operation of the sparse program against the golden model, with progress."""
    from rich.console import Console
    from rich.progress import track

    from sparsat.sim.values import check_step, checked_operations

    scheduled = result.sparse.scheduled
    found = track(
        check_step(result.sparse.config, scheduled),
        "Running all values",
        total=checked_operations(scheduled),
        console=Console(stderr=True),
        transient=True,
    )
    checked = list(found)
    wrong = [mismatch for mismatch in checked if mismatch]
    if wrong:
        raise ValueError(f"{len(wrong)} of {len(checked)} operations are wrong; {wrong[0]}")
    print(f"{len(checked)} operations equal the golden model, bit for bit")
