"""Progress bars and tables of `sparsat train`, drawn with Rich."""

from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.table import Table as RichTable

from sparsat.algo.training import render
from sparsat.algo.training.pool import Event
from sparsat.algo.training.run import Progress as RunProgress
from sparsat.algo.training.table import Table


class RunBars:
    """One bar for each run under way, and with `total` one for the whole sweep.

    Bars go to standard error; where that is not a terminal, finished runs are lines of text.
    """

    def __init__(self, total: int | None = None) -> None:
        self.console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            Remaining(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.runs: dict[str, TaskID] = {}
        self.sweep = None if total is None else self.bars.add_task("runs", total=total, note="")

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def watch(self, run: str) -> Callable[[RunProgress], None]:
        """A watcher that moves the bar of `run`."""
        return lambda progress: self._move(run, progress)

    def on_event(self, event: Event) -> None:
        """Draw the news of a sweep's run."""
        if event.progress is not None:
            self._move(event.run, event.progress)
            return
        if event.run in self.runs:
            self.bars.remove_task(self.runs.pop(event.run))
        if self.sweep is not None:
            self.bars.advance(self.sweep)
        line = f"{event.run}: {event.message or 'done'}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _move(self, run: str, progress: RunProgress) -> None:
        if run not in self.runs:
            self.runs[run] = self.bars.add_task(run, total=progress.steps, note="")
        note = [
            f"{name} {value:.3f}"
            for name, value in (("loss", progress.loss), ("score", progress.score))
            if value is not None
        ]
        self.bars.update(self.runs[run], completed=progress.step, note=", ".join(note))


def print_table(table: Table) -> None:
    """The table on standard output, as Markdown where that is no terminal."""
    console = Console()
    if not console.is_terminal:
        print(render.document(table))
        return
    for cells in (render.main_cells(table), render.extra_cells(table)):
        if cells:
            console.print(_rich(cells))
    console.print(render.caption(table), highlight=False, soft_wrap=True)


def _rich(cells: render.Cells) -> RichTable:
    rich = RichTable()
    for i, title in enumerate(cells[0]):
        rich.add_column(title, justify="left" if i == 0 else "right")
    for row in cells[1:]:
        rich.add_row(*row)
    return rich
