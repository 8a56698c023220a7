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
curves.html of all runs, continues interrupted ones and never repeats finished ones. A method that
prunes a trained model comes as a sweep with the dense run it starts from. In a sweep --lr, --decay
and --option go to the methods that have them.
"""

EXAMPLES = """Examples:

sparsat train digits --method bdwp --pattern 2:8 --seed 0

sparsat train digits --method bdwp --resume      (goes on after a kill, bit by bit the same)

sparsat train digits --methods dense,sr-ste,bdwp --pattern 2:8 --seeds 0,1,2

sparsat train bytes-lm --method sparsegpt --pattern 2:4 --option damping=0.1

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
    option: Annotated[
        list[str] | None, typer.Option(help="key=value, a setting of the method; repeatable.")
    ] = None,
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
        from sparsat.algo.tasks import check_task
        from sparsat.algo.training import settings
        from sparsat.algo.training.sweep import grid

        check_task(task, data, model)
        shared = {
            "task": task,
            "steps": steps,
            "epochs": epochs,
            "numerics": numerics,
            "data": None if data is None else str(data),
            "model": model,
        }
        given = {"lr": lr, "decay": decay, **settings.split(option or [])}
        own = {name: value for name, value in given.items() if value is not None}
        chosen = _split("--methods", methods if methods is not None else method)
        drawn = [seed] if seeds is None else _integers("--seeds", seeds)
        configs = grid(shared, own, chosen, _split("--pattern", pattern), drawn)
        root = out or Path("runs") / task
        if methods is None and seeds is None and len(configs) == 1:
            _single(configs[0], root, device=device, threads=threads, resume=resume)
        else:
            _sweep(configs, root, device=device, jobs=jobs, threads=threads)


def _split(option: str, text: str) -> list[str]:
    """Unique entries of a comma-separated list; `option` is where it was given."""
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise ValueError(f"{option} is {text!r}: give one or more by comma")
    return parts


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in _split(option, text)]
    except ValueError:
        raise ValueError(f"{option} is {text!r}: give integers by comma, as in 0,1,2") from None


def _single(base: "RunConfig", root: Path, *, device: str, threads: int, resume: bool) -> None:
    from rich.console import Console

    from sparsat.algo.training.device import pick_device, set_up_torch
    from sparsat.algo.training.run import Run
    from sparsat.algo.training.sweep import report
    from sparsat.cli.progress import RunBars, print_table

    chosen = pick_device(device)
    set_up_torch(chosen, threads)
    with RunBars() as bars:
        result = Run(base, root, chosen, bars.watch(base.folder)).execute(resume=resume)
    Console(stderr=True).print(result["report"], highlight=False, markup=False, soft_wrap=True)
    print_table(report([base], root, root / base.folder))
    typer.echo(f"log, checkpoint, curves and result: {root / base.folder}")


def _sweep(
    configs: list["RunConfig"], root: Path, *, device: str, jobs: int | None, threads: int
) -> None:
    from sparsat.algo.training.device import pick_device
    from sparsat.algo.training.sweep import sweep
    from sparsat.cli.progress import RunBars, print_table

    if jobs is None:
        jobs = 1 if pick_device(device).type == "cuda" else max(1, _cores() // threads)
    with RunBars(total=len(configs)) as bars:
        table = sweep(configs, root, device=device, jobs=jobs, threads=threads, watch=bars.on_event)
    print_table(table)
    typer.echo(f"table and curves: {root / 'table.md'}, {root / 'curves.html'}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
