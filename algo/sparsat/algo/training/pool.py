"""A few worker processes that train one run after the other and report over a pipe.

Workers ignore Ctrl-C: the parent gets it and ends them. As every file is written atomically, a
run loses at most what it did since its last checkpoint, however its worker dies.
"""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

import torch

from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.run import Progress, Run, pick_device, set_up_torch


@dataclass(frozen=True)
class Event:
    """News of one run: it moved, it is done, or it failed with a message."""

    run: str
    kind: Literal["progress", "done", "failed"]
    progress: Progress | None = None
    message: str = ""


Watcher = Callable[[Event], None]


def run_jobs(
    configs: Sequence[RunConfig],
    root: Path,
    *,
    device: str,
    jobs: int,
    threads: int,
    watch: Watcher,
) -> dict[str, str]:
    """Train all of `configs` in `jobs` processes; messages of the failed ones by folder name."""
    waiting = list(reversed(configs))
    workers = [_Worker(root, device, threads) for _ in range(min(jobs, len(configs)))]
    failures: dict[str, str] = {}
    try:
        for worker in workers:
            worker.give(waiting)
        while busy := {w.pipe: w for w in workers if w.run is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                event = worker.receive()
                watch(event)
                if event.kind == "failed":
                    failures[event.run] = event.message
                if event.kind != "progress":
                    worker.give(waiting)
    finally:
        for worker in workers:
            worker.end()
    return failures


class _Worker:
    """A process with the pipe to it and the run it is busy with."""

    def __init__(self, root: Path, device: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.run: str | None = None
        self.process: BaseProcess = context.Process(
            target=_serve, args=(other, root, device, threads), daemon=True
        )
        self.process.start()
        other.close()

    def give(self, waiting: list[RunConfig]) -> None:
        """Start the next run, if one is waiting and the process lives."""
        self.run = None
        if waiting and self.process.is_alive():
            config = waiting.pop()
            self.run = config.folder
            self.pipe.send(config)

    def receive(self) -> Event:
        """The next news; a dead process is a failed run."""
        assert self.run is not None
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            message = f"its process died (exit code {self.process.exitcode}): run the command again"
            return Event(self.run, "failed", message=message)

    def end(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, root: Path, device: str, threads: int) -> None:
    """Body of a worker: train every config that arrives, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    chosen = pick_device(device)
    set_up_torch(chosen, threads)
    with suppress(BrokenPipeError, ConnectionResetError, EOFError):
        while True:
            pipe.send(_train(pipe.recv(), root, chosen, pipe))


def _train(config: RunConfig, root: Path, device: torch.device, pipe: Connection) -> Event:
    """Train one config, telling of every step; how it ended."""

    def watch(progress: Progress) -> None:
        pipe.send(Event(config.folder, "progress", progress))

    try:
        Run(config, root, device, watch).execute(resume=True)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except (ValueError, OSError) as error:
        return Event(config.folder, "failed", message=str(error))
    return Event(config.folder, "done")
