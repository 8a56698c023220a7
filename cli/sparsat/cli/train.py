"""`sparsat train`: one run, or a sweep of methods, patterns and seeds."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsat.cli.errors import one_line_errors

if TYPE_CHECKING:
    from sparsat.algo.training.config import RunConfig

HELP = """Train a task with an N:M sparse method, log it, and compare methods.

Offline tasks: digits, bytes-lm, closed-world. On your data (--data DIR): cifar10, cifar100,
tiny-imagenet, imagenet. N:M means N kept of every M. A run's folder holds log.csv, log.json, a
checkpoint after every epoch, its result and curves.html; a sweep adds table.md, table.json and
curves.html of all runs, continues interrupted ones and never repeats finished ones.
"""

EXAMPLES = """Examples:

sparsat train digits --method bdwp --pattern 2:8 --seed 0

sparsat train digits --method bdwp --resume      (goes on after a kill, bit by bit the same)

sparsat train digits --methods dense,sr-ste,bdwp --pattern 2:8 --seeds 0,1,2

sparsat train bytes-lm --methods dense,wanda,sparsegpt --pattern 2:4,2:8

sparsat train cifar10 --model resnet18 --data ~/data/cifar10 --method bdwp --epochs 30
"""


def train(
    task: Annotated[str, typer.Argument(help="What to train; an unknown name lists all.")],
    method: Annotated[str, typer.Option(help="Pruning method of a single run.")] = "bdwp",
    pattern: Annotated[str, typer.Option(help="N:M, N kept; several by comma.")] = "2:8",
    seed: Annotated[int, typer.Option(help="Seed of a single run.")] = 0,
    methods: Annotated[str | None, typer.Option(help="Sweep: methods by comma.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Sweep: seeds by comma.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the task's own.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of --epochs.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    decay: Annotated[float | None, typer.Option(help="λ of the SR-STE term.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model for an image task.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of the data set.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of runs (default runs/TASK).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    numerics: Annotated[
        str, typer.Option(help="torch, or sat: fp16 operands, fp32 sums in order.")
    ] = "torch",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    jobs: Annotated[int | None, typer.Option(min=1, help="Sweep: runs at a time.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each run.")] = 1,
) -> None:
    """Check the request, then run it."""
    with one_line_errors("stopped; every finished epoch is on disk"):
        from sparsat.algo.tasks import task_class
        from sparsat.algo.training.config import RunConfig

        if epochs is not None and steps is None:
            steps = epochs * task_class(task).recipe.steps_per_epoch
        patterns = _split(pattern) or [pattern]
        base = RunConfig(
            task=task,
            method=method,
            pattern=patterns[0],
            seed=seed,
            steps=steps,
            numerics=numerics,
            decay=decay,
            lr=lr,
            data=None if data is None else str(data),
            model=model,
        )
        root = out or Path("runs") / task
        task_class(task)
        if methods is None and seeds is None and len(patterns) == 1:
            _single(base, root, device=device, threads=threads, resume=resume)
            return
        chosen = _split(methods or method)
        _sweep(
            base,
            root,
            chosen,
            patterns,
            _integers(seeds) if seeds else [seed],
            device=device,
            jobs=jobs,
            threads=threads,
        )


def _split(text: str) -> list[str]:
    """Unique entries of a comma-separated list."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in _split(text)]
    except ValueError:
        raise ValueError(f"--seeds is {text!r}: give integers by comma, as in 0,1,2") from None


def _single(base: "RunConfig", root: Path, *, device: str, threads: int, resume: bool) -> None:
    from rich.console import Console

    from sparsat.algo.training.run import Run, pick_device, set_up_torch
    from sparsat.algo.training.sweep import report
    from sparsat.cli.progress import RunBars, print_table

    chosen = pick_device(device)
    set_up_torch(chosen, threads)
    with RunBars() as bars:
        result = Run(base, root, chosen, bars.watch(base.folder)).execute(resume=resume)
    Console(stderr=True).print(result["report"], highlight=False)
    print_table(report([base], root, root / base.folder))
    typer.echo(f"log, checkpoint, curves and result: {root / base.folder}")


def _sweep(
    base: "RunConfig",
    root: Path,
    methods: list[str],
    patterns: list[str],
    seeds: list[int],
    *,
    device: str,
    jobs: int | None,
    threads: int,
) -> None:
    from sparsat.algo.training.run import pick_device
    from sparsat.algo.training.sweep import grid, sweep
    from sparsat.cli.progress import RunBars, print_table

    if jobs is None:
        jobs = 1 if pick_device(device).type == "cuda" else max(1, _cores() // threads)
    configs = grid(base, methods, patterns, seeds)
    with RunBars(total=len(configs)) as bars:
        table = sweep(configs, root, device=device, jobs=jobs, threads=threads, watch=bars.on_event)
    print_table(table)
    typer.echo(f"table and curves: {root / 'table.md'}, {root / 'curves.html'}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
