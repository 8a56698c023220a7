"""`sparsat verify`: the generated hardware against the simulator and the golden model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsat.cli.errors import one_line_errors

if TYPE_CHECKING:
    from rich.console import Console

    from sparsat.sim.verify.compare import Bench

HELP = """Run programs on the hardware, in Verilator, and compare it with the simulator.

Compared are the cycles in which each instruction is handed out, starts and ends, every byte of
memory, and the values with the golden model; in every other program a host brings the operands and
takes the results. The first program that differs is run again with a waveform. With MODEL, the
kinds of layers that it has, cut to a few channels and pixels; with --random, layers of random
shapes, schedules and patterns.
"""

EXAMPLES = """Examples:

sparsat verify resnet9 --config tiny

sparsat verify --random 50 --seed 7
"""


def verify(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="As of simulate.")] = None,
    random: Annotated[int, typer.Option(metavar="K", help="So many random programs.")] = 0,
    seed: Annotated[int, typer.Option(help="Of shapes and operands.")] = 0,
    config: Annotated[str, typer.Option(help="tiny or small.")] = "tiny",
    pattern: Annotated[
        str | None, typer.Option(help="N:M of a model's pruned layers, or dense; else 2:8.")
    ] = None,
    waveform: Annotated[
        Path, typer.Option(metavar="FILE", help="Of the first program that differs.")
    ] = Path("verify.fst"),
) -> None:
    """Check the request, build the hardware, run, print the counts."""
    with one_line_errors():
        from rich.console import Console

        from sparsat.cli import requests
        from sparsat.cli.files import check_writable
        from sparsat.sim.verify import campaign, layers

        if (model is None) == (random == 0):
            raise ValueError("verify needs a MODEL or --random K, one of them")
        if random < 0:
            raise ValueError(f"--random is {random}, it must be at least 1")
        if random and pattern:
            raise ValueError("--pattern is for a MODEL, random layers have patterns of their own")
        check_writable(waveform)
        console, kept = Console(soft_wrap=True), requests.pattern_of(pattern or "2:8")
        chosen = requests.hardware_of(config)
        step = requests.step_of(model, 2) if model else None
        with console.status(f"Building {config}") as status:
            bench = campaign.new_bench(chosen, waveform)
            if step:
                done = campaign.model_layers(bench, step, kept, seed)
            else:
                done = map(str, campaign.random_layers(bench, random, seed))
            for name in done:
                status.update(f"{bench.count.programs} programs, {name}")
        if step:
            console.print(layers.LIMITS, highlight=False)
        _print(console, bench)
        if bench.count.differences:
            raise typer.Exit(1)


def _print(console: "Console", bench: "Bench") -> None:
    count = bench.count
    latencies = " and ".join(map(str, bench.latencies))
    console.print(
        f"{count.programs} programs on {bench.config.name}, memory {latencies} cycles away: "
        f"{count.instructions} instructions, {count.cycles} cycles, {count.bytes} bytes compared",
        highlight=False,
    )
    console.print(
        f"{count.of_cycles} cycle differences, {count.of_bytes} value differences", highlight=False
    )
    for difference in count.differences[:10]:
        console.print(str(difference), highlight=False)
    if bench.recorded:
        console.print(f"waveform of the first program that differs: {bench.waveform}")
