"""Runs side by side: a process for each, a few at a time, with news of it over a pipe.

The processes ignore Ctrl-C: the parent gets it and ends them. As every file is written atomically,
a run loses at most what it did since its last checkpoint, however its process dies.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal

import torch

from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.device import pick_device, set_up_torch
from sparsat.algo.training.run import Progress, Run


@dataclass(frozen=True)
class Event:
    """News of one run: it moved, it is done, or it failed with a message of one line."""

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
    """Train all of `configs`, `jobs` at a time; messages of the failed ones by folder name."""
    chosen = pick_device(device)
    waiting = deque(configs)
    running: list[_Job] = []
    failures: dict[str, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Job(waiting.popleft(), root, chosen, threads))
            ready = wait([job.pipe for job in running])
            for job in [job for job in running if job.pipe in ready]:
                event = job.receive()
                watch(event)
                if event.kind == "failed":
                    failures[event.run] = event.message
                if event.kind != "progress":
                    running.remove(job)
                    job.end()
    finally:
        for job in running:
            job.end()
    return failures


class _Job:
    """A run, its process, and the end of the pipe where its news arrives."""

    def __init__(self, config: RunConfig, root: Path, device: torch.device, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.run = config.folder
        self.pipe, other = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_train, args=(other, config, root, device, threads), daemon=True
        )
        self.process.start()
        other.close()

    def receive(self) -> Event:
        """The next news; a dead process is a failed run."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            message = f"its process died (exit code {self.process.exitcode}): run the command again"
            return Event(self.run, "failed", message=message)

    def end(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _train(
    pipe: Connection, config: RunConfig, root: Path, device: torch.device, threads: int
) -> None:
    """Body of a process: train `config`, tell of every step and of how it ended."""

    def watch(progress: Progress) -> None:
        pipe.send(Event(config.folder, "progress", progress))

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_torch(device, threads)
    with suppress(BrokenPipeError):  # the parent is gone
        try:
            Run(config, root, device, watch).execute(resume=True)
            event = Event(config.folder, "done")
        except BrokenPipeError:
            raise
        except (ValueError, OSError, RuntimeError) as error:
            event = Event(config.folder, "failed", message=" ".join(str(error).split()))
        pipe.send(event)
