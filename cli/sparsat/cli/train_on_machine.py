"""`sparsat train-on-machine`: training whose products and updates all run on the machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsat.cli.errors import one_line_errors

if TYPE_CHECKING:
    from sparsat.hw.config import SATConfig
    from sparsat.sim.training.run import Request, Result

HELP = """Train a small network on 8×8 digits through the machine, and hold it to the golden model.

NETWORK is cnn or transformer. Each step is one program: the machine runs all products and weight
updates on the bytes of its memory, with BDWP's pruned weights, and the host does the rest through
the same memory. Everything the host sees, and every gradient, weight and momentum, must equal the
golden model after every step, bit for bit, or the command stops.
"""

EXAMPLES = """Examples:

sparsat train-on-machine cnn --steps 40

sparsat train-on-machine cnn --steps 20 --hardware --config tiny

sparsat train-on-machine transformer --config tiny --pattern 2:4 --html loss.html --json loss.json
"""


def train_on_machine(
    network: Annotated[str, typer.Argument(help="cnn or transformer.")],
    config: Annotated[
        str, typer.Option(help="The machine: tiny, small, vcu1525 or vcu1525_max.")
    ] = "small",
    pattern: Annotated[str, typer.Option(help="N:M, N kept of every M, or dense.")] = "2:8",
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 40,
    batch: Annotated[int, typer.Option(help="Digits in a step.")] = 16,
    hardware: Annotated[
        bool, typer.Option(help="Run each step on the generated hardware, in Verilator.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the first weights and the order of digits.")] = 0,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Plot the losses.")] = None,
) -> None:
    """Check the request, then train, write and print."""
    with one_line_errors("stopped; nothing was written"):
        from sparsat.cli.files import check_writable
        from sparsat.cli.requests import hardware_of, pattern_of
        from sparsat.hw.config import preset
        from sparsat.sim.training.run import Request

        machine = hardware_of(config) if hardware else preset(config)
        request = Request(network, pattern_of(pattern), batch, steps, seed, lr)
        check_writable(json, html)
        result = _run(request, machine, hardware)
        _write(result, json, html)
        _print(result)


def _run(request: "Request", config: "SATConfig", hardware: bool) -> "Result":
    """With progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from sparsat.sim.training.hardware import HardwareMachine
    from sparsat.sim.training.machine import FunctionalMachine
    from sparsat.sim.training.run import run
    from sparsat.sim.training.session import Record

    console = Console(stderr=True)
    with Progress(
        TextColumn("Training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        bar = bars.add_task("", total=request.steps, note="")

        def watch(step: int, record: Record) -> None:
            bars.update(bar, completed=step + 1, note=f"loss {record.loss:.3f}")

        kind = HardwareMachine if hardware else FunctionalMachine
        return run(request, config, kind(config), watch)


def _write(result: "Result", json: Path | None, html: Path | None) -> None:
    """All files or none."""
    from contextlib import ExitStack
    from json import dumps

    from sparsat.cli.files import whole_file
    from sparsat.sim.training.page import render

    data = result.to_dict()
    with ExitStack() as files:
        if json:
            files.enter_context(whole_file(json)).write(dumps(data, indent=1) + "\n")
        if html:
            files.enter_context(whole_file(html)).write(render(data))


def _print(result: "Result") -> None:
    from sparsat.sim.training.page import headline

    skipped = sum(record.overflow for record in result.records)
    print(headline(result.to_dict()))
    print(f"{result.weights} weights and {result.compared} tensors equal the golden model, by bits")
    if skipped:
        print(f"{skipped} steps with gradients that overflowed")
