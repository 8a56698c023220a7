"""Many runs: methods × patterns × seeds, in parallel processes, each run once.

A run that is finished is not run again; one that was interrupted goes on from its checkpoint.
Post-training methods wait for the dense runs they start from.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsat.algo.tasks import task_class
from sparsat.algo.training import curves, render, settings
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.files import write_atomic, write_json
from sparsat.algo.training.folder import folder_state, is_finished
from sparsat.algo.training.plan import plan_for
from sparsat.algo.training.pool import Event, run_jobs
from sparsat.algo.training.table import Finished, Table, build

Watcher = Callable[[Event], None]


def grid(
    shared: Mapping[str, Any],
    own: Mapping[str, float | str],
    methods: Sequence[str],
    patterns: Sequence[str],
    seeds: Sequence[int],
) -> list[RunConfig]:
    """All runs, ordered method, pattern, seed; dense once whatever the patterns.

    Post-training methods come after the dense runs they start from. `shared` goes to every run,
    each setting of `own` to the methods that have it. Raises `TrainError` where none has.
    """
    runs = [
        RunConfig(method=m, pattern=p, seed=s, **shared, **settings.of_method(m, own))
        for m in methods
        for p in patterns
        for s in seeds
    ]
    settings.check(own, methods)
    dense = [run.dense for run in runs if plan_for(run.method).after_dense]
    return list({run.folder: run for run in (*dense, *runs)}.values())


def sweep(
    configs: Sequence[RunConfig],
    root: Path,
    *,
    device: str,
    jobs: int,
    threads: int,
    watch: Watcher = lambda event: None,
) -> Table:
    """Run what is not finished, write table and curves into `root`, return the table.

    Raises `TrainError` naming the first failed run, after all others have ended.
    """
    todo = _unfinished(configs, root, watch)
    first = [c for c in todo if not plan_for(c.method).after_dense]
    failures = run_jobs(first, root, device=device, jobs=jobs, threads=threads, watch=watch)
    later = [c for c in todo if plan_for(c.method).after_dense]
    lost = {
        c.folder: f"{c.dense.folder}, which it starts from, failed"
        for c in later
        if c.dense.folder in failures
    }
    for name, message in lost.items():
        watch(Event(name, "failed", message=message))
    later = [c for c in later if c.folder not in lost]
    failures |= lost
    failures |= run_jobs(later, root, device=device, jobs=jobs, threads=threads, watch=watch)
    if failures:
        name, message = next(iter(failures.items()))
        more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
        raise TrainError(f"{name}: {message}{more}")
    return report(configs, root, root)


def _unfinished(configs: Sequence[RunConfig], root: Path, watch: Watcher) -> list[RunConfig]:
    """The runs still to do; finished ones are told to `watch` at once."""
    todo = []
    for config in configs:
        if folder_state(config, root) == "finished":
            watch(Event(config.folder, "done", message="finished before"))
        else:
            todo.append(config)
    return todo


def report(configs: Sequence[RunConfig], root: Path, folder: Path) -> Table:
    """Table and curves of the finished runs of `configs` in `root`, written into `folder`."""
    task = task_class(configs[0].task)
    runs = [Finished.read(root / c.folder) for c in configs if is_finished(root / c.folder)]
    table = build(task, runs)
    write_json(folder / "table.json", render.to_json(table))
    write_atomic(folder / "table.md", render.document(table))
    curves.draw(folder / "curves.html", task, runs)
    return table
