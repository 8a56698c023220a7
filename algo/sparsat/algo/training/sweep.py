"""Many runs: methods × patterns × seeds, in parallel processes, each run once.

A run that is finished is not run again; one that was interrupted goes on from its checkpoint.
Post-training methods wait for the dense runs they start from, which are added where missing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sparsat.algo.tasks import task_class
from sparsat.algo.training import curves, render
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.files import write_atomic, write_json
from sparsat.algo.training.plan import plan_for
from sparsat.algo.training.pool import Event, run_jobs
from sparsat.algo.training.run import folder_state, is_finished
from sparsat.algo.training.table import Finished, Table, build


def grid(
    base: RunConfig, methods: Iterable[str], patterns: Iterable[str], seeds: Iterable[int]
) -> list[RunConfig]:
    """All runs, ordered method, pattern, seed; dense once whatever the patterns."""
    seeds, patterns = list(seeds), list(patterns)
    runs = {
        (config := replace(base, method=m, pattern=p, seed=s)).folder: config
        for m in methods
        for p in patterns
        for s in seeds
    }
    return list(runs.values())


def sweep(
    configs: Sequence[RunConfig],
    root: Path,
    *,
    device: str,
    jobs: int,
    threads: int,
    watch: Callable[[Event], None] = lambda event: None,
) -> Table:
    """Run what is not finished, write table and curves into `root`, return the table.

    Raises `TrainError` naming the first failed run, after all others have ended.
    """
    first = [c for c in configs if not plan_for(c.method).after_dense]
    later = [c for c in configs if plan_for(c.method).after_dense]
    names = {c.folder for c in first}
    first += [d for d in _dense_of(later) if d.folder not in names]
    failures: dict[str, str] = {}
    for batch in _unfinished(first, root, watch), _unfinished(later, root, watch):
        failures |= run_jobs(batch, root, device=device, jobs=jobs, threads=threads, watch=watch)
    if failures:
        name, message = next(iter(failures.items()))
        more = f" (and {len(failures) - 1} more runs failed)" if len(failures) > 1 else ""
        raise TrainError(f"{name}: {message}{more}")
    return report(configs, root, root)


def _unfinished(
    configs: Sequence[RunConfig], root: Path, watch: Callable[[Event], None]
) -> list[RunConfig]:
    """The runs still to do; finished ones are told to `watch` at once."""
    todo = []
    for config in configs:
        if folder_state(config, root) == "finished":
            watch(Event(config.folder, "done", message="finished before"))
        else:
            todo.append(config)
    return todo


def _dense_of(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The dense runs that post-training `configs` start from, each once."""
    dense = (replace(c, method="dense", decay=None, lr=None, options={}) for c in configs)
    return list({d.folder: d for d in dense}.values())


def report(configs: Sequence[RunConfig], root: Path, folder: Path) -> Table:
    """Table and curves of the finished runs of `configs` in `root`, written into `folder`."""
    task = task_class(configs[0].task)
    runs = [Finished.read(root / c.folder) for c in configs if is_finished(root / c.folder)]
    table = build(task, runs)
    write_json(folder / "table.json", render.to_json(table))
    write_atomic(folder / "table.md", render.document(table))
    curves.draw(folder / "curves.html", task, runs)
    return table
