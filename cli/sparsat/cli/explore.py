"""`sparsat explore`: which machine for a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsat.cli.errors import one_line_errors

if TYPE_CHECKING:
    from sparsat.sim.explore.search import Point, Search, Study

HELP = """Search for the machines that train MODEL fast, small and with little energy.

Designs that fit the board's device are screened by an estimate, the best are simulated in full.
What was found is in the database: a search that was stopped goes on where it was, and a larger
budget goes on from a smaller one.
"""

EXAMPLES = """Examples:

sparsat explore resnet18 --board vcu1525 --budget 2000 --html resnet18-designs.html

sparsat explore vit --batch 64 --patterns 2:8,2:4,dense --json vit-designs.json

sparsat explore resnet50 --scheduler tcp://cluster:8786
"""


def explore(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name or path.py:factory.")],
    board: Annotated[str, typer.Option(help="Device, memory and its size.")] = "vcu1525",
    budget: Annotated[int, typer.Option(help="Designs to screen.")] = 1000,
    patterns: Annotated[
        str, typer.Option(metavar="N:M,N:M", help="Or dense; a front for each.")
    ] = "2:8",
    batch: Annotated[int, typer.Option(help="Examples in a step.")] = 512,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 1,
    database: Annotated[Path, typer.Option(metavar="FILE", help="Where results are kept.")] = Path(
        "explore.sqlite"
    ),
    workers: Annotated[int, typer.Option(help="Processes; 0: one for each core.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on this Dask cluster instead.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the front.")] = None,
) -> None:
    """Check the request, then search, write and print."""
    with one_line_errors("stopped; the same command goes on"):
        import os

        from sparsat.cli import requests
        from sparsat.cli.files import check_writable
        from sparsat.sim.boards import board as board_of
        from sparsat.sim.explore.database import Database
        from sparsat.sim.explore.jobs import executor
        from sparsat.sim.explore.search import Search, Study, settings

        place, names = board_of(board), requests.names_of("--patterns", patterns)
        for name in names:
            requests.pattern_of(name)
        _need("--budget", budget, 1, 1_000_000)
        _need("--workers", workers, 0, 1024)
        check_writable(database, html, json)
        study = Study(requests.step_of(model, batch), place, tuple(names), seed)
        count = workers or os.cpu_count() or 1
        with Database(database, settings(study)) as results:
            with executor(count, scheduler) as (pool, ready), _Bars(budget) as bars:
                search = Search(study, results, pool, ready, bars.told)
                front = search.run(budget)
        _write(study, search, front, html, json)
        _print(study, search, front)


PIPED_WIDTH = 136
"""Columns where standard output is not a terminal."""


def _need(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{option} is {value}, it must be from {least} to {most}")


class _Bars:
    """How far the search is, on standard error."""

    def __init__(self, budget: int) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress

        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks = {
            "screened": self._bars.add_task("Designs screened", total=budget),
            "simulated": self._bars.add_task("Designs simulated", total=None),
        }

    def __enter__(self) -> "_Bars":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def told(self, what: str, count: int) -> None:
        self._bars.advance(self._tasks[what], count)


def _write(
    study: "Study", search: "Search", front: "list[Point]", html: Path | None, json: Path | None
) -> None:
    """All files or none."""
    from contextlib import ExitStack
    from json import dumps

    from sparsat.cli.files import whole_file

    with ExitStack() as files:
        if html:
            from sparsat.sim.explore.page import render

            title = f"SparSAT: {study.step.model}, batch {study.step.batch}, {study.board.name}"
            page = render(title, search.points, front)
            files.enter_context(whole_file(html)).write(page)
        if json:
            content = {"schema": 1, "front": [_plain(point) for point in front]}
            files.enter_context(whole_file(json)).write(dumps(content, indent=1) + "\n")


def _plain(point: "Point") -> dict[str, Any]:
    seconds, lut, joules = point.objectives
    return {
        "pattern": point.design.pattern,
        "seconds": seconds,
        "joules": joules,
        "gflops_effective": point.simulated.gflops_effective,
        "gflops_dense_equivalent": point.simulated.gflops_dense,
        "lut": lut,
        "config": point.candidate.config.to_dict(),
    }


def _print(study: "Study", search: "Search", front: "list[Point]") -> None:
    from rich.console import Console
    from rich.table import Table

    from sparsat.sim.explore.search import screening_errors

    table = Table(title=_title(study), title_justify="left")
    table.add_column("pattern")
    names = ("cells", "MHz", "depth", "A·B regs", "link", "KiB A/B/C", "SORE·WUVE", "ports")
    for name in (*names, "ms", "GFLOPS", "LUT", "J"):
        table.add_column(name, justify="right", overflow="fold")
    for point in front:
        table.add_row(*_cells(point))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)).print(table)
    print(f"{len(search.points)} designs screened that fit; all {len(front)} above are simulated")
    errors = screening_errors(search.sample())
    if errors:
        parts = (f"{name} {mean:.2%} (most {most:.2%})" for name, (mean, most) in errors.items())
        print(f"error of screening on random designs, mean: {', '.join(parts)}")


def _title(study: "Study") -> str:
    return f"{study.step.model}, batch {study.step.batch}: designs that fit {study.board.name}"


def _cells(point: "Point") -> list[str]:
    d, (seconds, lut, joules) = point.design, point.objectives
    return [
        d.pattern,
        f"{d.rows}×{d.cols}",
        f"{point.candidate.config.clock_hz / 1e6:.0f}",
        str(d.depth),
        f"{d.a_regs}·{d.b_regs}",
        str(d.a_link),
        f"{d.a_scratch_kib}/{d.b_scratch_kib}/{d.c_scratch_kib}",
        f"{d.sore_lanes}·{d.wuve_lanes}",
        str(d.channels),
        f"{seconds * 1e3:,.2f}",
        f"{point.simulated.gflops_effective:,.0f}",
        f"{lut:,.0f}",
        f"{joules:,.2f}",
    ]
