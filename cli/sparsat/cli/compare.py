"""`sparsat compare`: a training step under several schedules, patterns and machines."""

from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors

HELP = """Simulate a training step of MODEL under every combination of choices.

Speedups are over the same schedule and machine with dense weights.
"""

EXAMPLES = """Examples:

sparsat compare resnet18 --schedules paper,os,ws,no-interleave,online-sore,optimal

sparsat compare vit --patterns 2:8,1:4 --configs vcu1525,vcu1525_max --json compare.json
"""


def compare(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name or path.py:factory.")],
    schedules: Annotated[str, typer.Option(metavar="A,B", help="Names.")] = "optimal,paper",
    patterns: Annotated[str, typer.Option(metavar="N:M,N:M", help="Or dense.")] = "2:8",
    configs: Annotated[str, typer.Option(metavar="A,B", help="Presets.")] = "vcu1525",
    batch: Annotated[int, typer.Option(help="Examples in a step.")] = 512,
    board: Annotated[str, typer.Option(help="Memory and its size.")] = "vcu1525",
    memory: Annotated[
        str | None, typer.Option(help="Another memory: ddr4, or fixed (a line per cycle).")
    ] = None,
    layers: Annotated[bool, typer.Option(help="Show the cycles of every layer, too.")] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all results, without operations.")
    ] = None,
) -> None:
    """Check the request, then capture once and simulate every combination."""
    with one_line_errors("stopped; nothing was written"):
        from json import dumps

        from rich.console import Console

        from sparsat.cli import requests, tables
        from sparsat.cli.files import check_writable, whole_file
        from sparsat.sim.boards import board as board_of
        from sparsat.sim.simulate import SCHEMA, simulate

        place = board_of(board)
        machines = [place.with_(c, memory) for c in requests.names_of("--configs", configs)]
        wanted = [requests.pattern_of(text) for text in requests.names_of("--patterns", patterns)]
        policies = [requests.schedule_of(x) for x in requests.names_of("--schedules", schedules)]
        check_writable(json)
        step = requests.step_of(model, batch)
        results = []
        with Console(stderr=True).status("Simulating") as status:
            for machine, pattern, policy in product(machines, wanted, policies):
                status.update(f"Simulating {machine.config.name}, {policy.name}")
                results.append(simulate(step, machine, policy, pattern))
        if json:
            shown = [result.to_dict() for result in results]
            for each in shown:
                del each["ops"]
            with whole_file(json) as file:
                file.write(dumps({"schema": SCHEMA, "results": shown}, indent=1) + "\n")
        tables.print_comparison(results)
        if layers:
            tables.print_layers(results)
