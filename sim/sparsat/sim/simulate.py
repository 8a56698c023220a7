"""A training step on the simulated machine, sparse and dense, and what it shows.

    result = simulate(step, preset("vcu1525"), SCHEDULES["optimal"], (2, 8))
    print(result.to_json())

The cycles of an operation are those from the end of the one before it to its own end, so that they
add up to the step's. An operation ends when the results that the next one waits for are in memory;
where the next one waits for none of them, when the array is done with it.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsat.dataflow.ir import Step, Update, Vector
from sparsat.dataflow.program import START, Engine, Sem
from sparsat.dataflow.schedule import Plan, Schedule, Scheduled, schedule_step
from sparsat.hw.config import SATConfig
from sparsat.sim.engine import run

SCHEMA = 1
MEMORIES = {"fixed": 60}
"""Memory models: the latency in cycles of the one there is, which serves a line per cycle."""

Pattern = tuple[int, int]


@dataclass(frozen=True)
class Times:
    """What operations took, an int64 array [ops] each; `start`, `end` are [instructions].

    `cycles` as the module's text defines them, `before` those of them before the array first
    starts on the operation, `after` those after it was last busy with it, `array` those in which it
    was busy. `lines` are memory lines moved.
    """

    cycles: np.ndarray
    before: np.ndarray
    after: np.ndarray
    array: np.ndarray
    lines: np.ndarray
    start: np.ndarray
    end: np.ndarray


@dataclass(frozen=True)
class Timed:
    """One run: `pattern` is None where everything is dense."""

    config: SATConfig
    pattern: Pattern | None
    scheduled: Scheduled
    times: Times

    @property
    def cycles(self) -> int:
        return int(self.times.cycles.sum())

    @property
    def gemm_cycles(self) -> int:
        """Cycles of all operations but vector ones: products and updates."""
        on = [not isinstance(plan.op.work, Vector) for plan in self.scheduled.plans]
        return int(self.times.cycles[on].sum())

    def totals(self) -> dict[str, Any]:
        """The whole step in numbers; utilization counts multiplications by kept values only."""
        cycles, plans = self.cycles, self.scheduled.plans
        macs = sum(plan.block.macs for plan in plans if plan.block)
        dense_macs = sum(plan.block.dense_macs for plan in plans if plan.block)
        seconds = cycles / self.config.clock_hz
        return {
            "cycles": cycles,
            "seconds": seconds,
            "macs": macs,
            "dense_macs": dense_macs,
            "utilization": _ratio(macs, self.config.cells * cycles),
            "dram_bytes": int(self.times.lines.sum()) * self.config.line_bytes,
            "gflops_effective": _ratio(2e-9 * macs, seconds),
            "gflops_dense_equivalent": _ratio(2e-9 * dense_macs, seconds),
            "gemm_cycles": self.gemm_cycles,
            "gemm_utilization": _ratio(macs, self.config.cells * self.gemm_cycles),
        }

    def ops(self) -> list[dict[str, Any]]:
        """Every operation in numbers, in the order in which they run."""
        return [self._op(index, plan) for index, plan in enumerate(self.scheduled.plans)]

    def _op(self, index: int, plan: Plan) -> dict[str, Any]:
        cycles, block = int(self.times.cycles[index]), plan.block
        macs = block.macs if block else 0
        return {
            "name": plan.op.name,
            "layer": plan.op.layer,
            "stage": plan.op.stage if block or isinstance(plan.op.work, Update) else "VECTOR",
            "dataflow": block.mapping.dataflow.name if block else "-",
            "pattern": f"{plan.pattern[0]}:{plan.pattern[1]}" if plan.pattern else "dense",
            "interleave": [block.mapping.ir, block.mapping.is_] if block else [1, 1],
            "cycles": cycles,
            "macs": macs,
            "utilization": _ratio(macs, self.config.cells * cycles),
            "dram_bytes": int(self.times.lines[index]) * self.config.line_bytes,
            "bound": self.bound(index),
        }

    def bound(self, index: int) -> str:
        """What an operation's time is mostly made of.

        `vector`: it runs outside the array; an update is `memory` where moving its lines takes
        longer than computing them, else `compute`. For products, the largest of: the time the array
        is busy; `memory`, the time it waits in between; `fill`, the time before it first starts
        and after it has last ended. The busy time in turn is `drain` where more than half of it are
        tiles that end only when the sums of the one before have left, `fill` where the cells have
        slots to compute in less than half of it, and `compute` otherwise.
        """
        plan, times = self.scheduled.plans[index], self.times
        lines, cycles = int(times.lines[index]), int(times.cycles[index])
        if isinstance(plan.op.work, Update):
            return "memory" if 2 * lines > cycles else "compute"
        if plan.block is None:
            return "vector"
        busy = int(times.array[index])
        fill = int(times.before[index] + times.after[index])
        wait = cycles - busy - fill
        if busy < max(wait, fill):
            return "memory" if wait >= fill else "fill"
        if 2 * plan.block.draining > busy:
            return "drain"
        return "fill" if 2 * plan.block.slots < busy else "compute"


@dataclass(frozen=True)
class Result:
    """A step under one schedule, with a pattern and dense."""

    step: Step
    schedule: Schedule
    memory: str
    sparse: Timed
    dense: Timed

    @property
    def speedup(self) -> float:
        return self.dense.cycles / self.sparse.cycles

    @property
    def gemm_speedup(self) -> float:
        """Of products and updates alone; 1 where there are none."""
        if not self.sparse.gemm_cycles:
            return 1.0
        return self.dense.gemm_cycles / self.sparse.gemm_cycles

    def to_dict(self) -> dict[str, Any]:
        """Schema 1."""
        config, pattern = self.sparse.config, self.sparse.pattern
        return {
            "schema": SCHEMA,
            "model": self.step.model,
            "batch": self.step.batch,
            "method": "bdwp" if pattern else "dense",
            "pattern": f"{pattern[0]}:{pattern[1]}" if pattern else "dense",
            "schedule": self.schedule.name,
            "memory": self.memory,
            "config": config.to_dict(),
            "totals": self.sparse.totals(),
            "dense": self.dense.totals(),
            "speedup_vs_dense": self.speedup,
            "gemm_speedup_vs_dense": self.gemm_speedup,
            "unmapped": [
                {"kind": each.kind, "ops": list(each.ops), "share": each.share}
                for each in self.step.unmapped
            ],
            "ops": self.sparse.ops(),
        }

    def to_json(self) -> str:
        """The same text for the same input, whatever the machine."""
        return json.dumps(self.to_dict(), indent=1) + "\n"


def simulate(
    step: Step,
    config: SATConfig,
    schedule: Schedule,
    pattern: Pattern | None,
    memory: str = "fixed",
) -> Result:
    """Schedule and run `step` with weights pruned to `pattern` (n, m), and dense.

    ValueError where a layer or the pattern does not fit the machine.
    """
    if memory not in MEMORIES:
        raise ValueError(f"unknown memory {memory!r}: known are {', '.join(MEMORIES)}")
    latency = MEMORIES[memory]
    dense = simulate_once(step, config, schedule, None, latency)
    sparse = simulate_once(step, config, schedule, pattern, latency) if pattern else dense
    return Result(step, schedule, memory, sparse, dense)


def simulate_once(
    step: Step, config: SATConfig, schedule: Schedule, pattern: Pattern | None, latency: int
) -> Timed:
    """One run. The program cannot stop short of its end: that would be a bug here."""
    scheduled = schedule_step(config, step, schedule, pattern)
    return Timed(config, pattern, scheduled, _times(scheduled, latency))


def _times(scheduled: Scheduled, latency: int) -> Times:
    columns = scheduled.program.arrays()
    sems = np.zeros(len(Sem), np.int64)
    for sem, count in START.items():
        sems[sem] = count
    names = ("engine", "lines", "cycles", "wait", "signal")
    start, end = run(*(columns[name] for name in names), sems, latency)
    if len(end) and end.min() < 0:
        raise RuntimeError(f"the program stops at instruction {int(np.argmin(end))}")
    op, count = columns["op"], len(scheduled.plans)
    on = columns["engine"] == Engine.EXEC
    end_all, end_array = np.zeros(count, np.int64), np.zeros(count, np.int64)
    first_array = np.full(count, np.iinfo(np.int64).max)
    np.maximum.at(end_all, op, end)
    np.maximum.at(end_array, op[on], end[on])
    np.minimum.at(first_array, op[on], start[on])
    joined = np.array([plan.joined for plan in scheduled.plans], bool)
    ends = np.where(joined, end_array, np.maximum.accumulate(end_all))
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    product = end_array > 0
    busy = _sums(op[on], (end - start)[on], count)
    return Times(
        cycles=ends - begins,
        before=np.where(product, first_array - begins, 0),
        after=np.where(product, ends - end_array, 0),
        array=busy,
        lines=_sums(op, columns["lines"], count),
        start=start,
        end=end,
    )


def _sums(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, index, values)
    return sums


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
