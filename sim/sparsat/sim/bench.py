"""What the simulator costs in CPU time and memory: `make bench-sim`.

Prints docs/simulation_speed.md.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsat.sim.markdown import table

Pattern = tuple[int, int]
PATTERNS: tuple[Pattern | None, ...] = (None, (2, 8))
CAPTURED = ("resnet50", 512)
CAPTURE_SECONDS = 10
STEP_SECONDS = {("resnet18@224", 1): 1, ("resnet50", 512): 3}
"""What one step may take, by model and batch."""
GROWING = tuple(("resnet18", batch) for batch in (1, 8, 64, 512, 4096))
REPEATS = 3
MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What a process took.

    CPU seconds until its work began (interpreter, imports) and for the work; peak memory in bytes,
    and that part of it that came after PyTorch if that was imported; what `work` counted.
    """

    start: float
    work: float
    peak: int
    beyond_torch: int
    torch: bool
    counts: Mapping[str, float]


def capture_cost(model: str, batch: int) -> Cost:
    """Capturing a step that is not on disk."""
    import torch  # noqa: F401  (its memory is not counted as capture's)

    with TemporaryDirectory() as cache:
        os.environ["SPARSAT_CACHE"] = cache
        return load_cost(model, batch)


def load_cost(model: str, batch: int) -> Cost:
    """Getting a step from wherever it is."""
    from sparsat.dataflow.step_cache import captured_step

    def work() -> Mapping[str, float]:
        captured_step(model, batch)
        return {}

    return _cost(work)


def step_cost(model: str, batch: int, pattern: Pattern | None) -> Cost:
    """Scheduling and running a step that was read from disk.

    Counts products, instructions and the CPU seconds of scheduling.
    """
    from sparsat.dataflow.schedule import SCHEDULES, schedule_step
    from sparsat.dataflow.step_cache import captured_step
    from sparsat.sim.boards import board
    from sparsat.sim.machine import run

    step, place = captured_step(model, batch), board("vcu1525")

    def work() -> Mapping[str, float]:
        start = time.process_time()
        scheduled = schedule_step(place.config, step, SCHEDULES["optimal"], pattern)
        scheduling = time.process_time() - start
        run(place.config, scheduled.program, place.memory)
        return {
            "products": sum(planned.site.macs for planned in scheduled.plans),
            "instructions": len(scheduled.program),
            "scheduling": scheduling,
        }

    return _cost(work)


def _cost(work: Callable[[], Mapping[str, float]]) -> Cost:
    before = _peak() if "torch" in sys.modules else 0
    start = time.process_time()
    counts = work()
    spent = time.process_time() - start
    peak = _peak()
    return Cost(start, spent, peak, peak - before, "torch" in sys.modules, counts)


def _peak() -> int:
    """Linux's own count: `getrusage` begins with the peak of the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def alone(measure: Callable[..., Cost], *arguments: object) -> Cost:
    """The cheapest of some fresh processes; the first leaves code and step in their caches."""
    costs = []
    for _ in range(REPEATS):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            costs.append(pool.submit(measure, *arguments).result())
    return min(costs, key=lambda cost: cost.work)


def page() -> str:
    """docs/simulation_speed.md."""
    captured, loaded = alone(capture_cost, *CAPTURED), alone(load_cost, *CAPTURED)
    steps = {
        (model, batch, pattern): alone(step_cost, model, batch, pattern)
        for model, batch in (*STEP_SECONDS, *GROWING)
        for pattern in PATTERNS
    }
    getting = [
        ("captured", *_seconds(captured), str(CAPTURE_SECONDS), *_memory(captured)),
        ("from disk", *_seconds(loaded), "", *_memory(loaded)),
    ]
    return PAGE.format(
        repeats=REPEATS,
        python=platform.python_version(),
        model=CAPTURED[0],
        batch=CAPTURED[1],
        getting=table(("step", *SECONDS_HEAD, *MEMORY_HEAD), getting),
        torch="Some" if any(cost.torch for cost in (loaded, *steps.values())) else "None",
        steps=table(STEP_HEAD, [_step_row(*case, cost) for case, cost in steps.items()]),
    )


SECONDS_HEAD = ("start, s", "work, s", "limit, s")
MEMORY_HEAD = ("peak, MiB", "beyond PyTorch, MiB")
STEP_HEAD = (
    *("model", "batch", "weights", "products", "instructions"),
    *(*SECONDS_HEAD, "of work, scheduling, s", *MEMORY_HEAD),
)


def _step_row(model: str, batch: int, pattern: Pattern | None, cost: Cost) -> tuple[str, ...]:
    weights = f"{pattern[0]}:{pattern[1]}" if pattern else "dense"
    counts = (f"{cost.counts['products']:.2e}", f"{cost.counts['instructions']:,}")
    limit = str(STEP_SECONDS.get((model, batch), ""))
    scheduling = f"{cost.counts['scheduling']:.2f}"
    case = (model, str(batch), weights)
    return *case, *counts, *_seconds(cost), limit, scheduling, *_memory(cost)


def _seconds(cost: Cost) -> tuple[str, str]:
    return f"{cost.start:.2f}", f"{cost.work:.2f}"


def _memory(cost: Cost) -> tuple[str, str]:
    return f"{cost.peak / MIB:,.0f}", f"{cost.beyond_torch / MIB:,.0f}"


PAGE = """\
# What the simulator costs

Made by `make bench-sim`: CPU seconds and peak memory of one process, the cheapest of {repeats},
under Python {python}. *Start* is the interpreter and what is imported before the work. Compiled
code is in its cache; the first run of all compiles it, which takes longer. Memory is
to stay within 1,024 MiB beyond PyTorch's own. {torch} of the processes
imported PyTorch but those that capture.

## Getting the step of {model}, batch {batch}

{getting}
## Scheduling and running a step

One step, on board `vcu1525` with schedule `optimal`.

{steps}
Scheduling takes time for every plan that it estimates, running for the pieces in which instructions
move and multiply their data. Products are never computed, so their number does not matter.
"""

if __name__ == "__main__":
    print(page(), end="")
