"""What workers do, in this process, in others or on a cluster: functions of plain values."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

from sparsat.dataflow.ir import Step
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.config import SATConfig
from sparsat.sim.boards import Board
from sparsat.sim.explore.screen import Estimate, estimate_step
from sparsat.sim.explore.summary import Summary
from sparsat.sim.simulate import simulate_once

Pattern = tuple[int, int]
Task = tuple[SATConfig, Pattern | None]
CHUNK = 8
"""Designs that a worker screens at a time."""


@lru_cache(maxsize=64)
def _summary(step: str, pattern: Pattern | None) -> Summary:
    return Summary.of(Step.from_json(step), pattern)


@lru_cache(maxsize=4)
def _step(step: str) -> Step:
    return Step.from_json(step)


def screen(step: str, memory: str, tasks: list[Task]) -> list[Estimate | str]:
    """Of each design its estimate, or why there is none; `step` as JSON."""
    found: list[Estimate | str] = []
    for config, pattern in tasks:
        try:
            found.append(estimate_step(config, memory, _summary(step, pattern)))
        except ValueError as error:
            found.append(str(error))
    return found


def simulate(step: str, board: Board, pattern: Pattern | None) -> dict[str, Any] | str:
    """`Timed.totals` of one design, or why there are none."""
    try:
        return simulate_once(_step(step), board, SCHEDULES["optimal"], pattern).totals()
    except ValueError as error:
        return str(error)


class Here(Executor):
    """Does the work at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def executor(workers: int, scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    """Who works, and how many they are: this process, `workers` processes of this machine, or the
    Dask cluster at `scheduler`. OSError where there is none."""
    if scheduler is not None:
        with _cluster(scheduler) as found:
            yield found
    elif workers == 1:
        yield Here(), 1
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            try:
                yield pool, workers
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from dask.distributed import Client
    except ImportError:
        raise OSError("--scheduler needs Dask: pip install 'sparsat[explore]'") from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f"no Dask scheduler at {address}: {error}") from None
    with client:
        workers = sum(client.nthreads().values())
        if not workers:
            raise OSError(f"the Dask scheduler at {address} has no workers")
        yield client.get_executor(), workers
