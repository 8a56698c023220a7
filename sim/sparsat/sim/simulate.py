"""A training step on the simulated machine, sparse and dense, and what it shows.

result = simulate(step, board("vcu1525"), SCHEDULES["optimal"], (2, 8))
print(result.to_json())
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsat.dataflow.ir import Step, Update, Vector
from sparsat.dataflow.schedule import Planned, Schedule, Scheduled, schedule_step
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Exec, Instruction
from sparsat.sim.account import Accounts, account, timeline
from sparsat.sim.boards import Board
from sparsat.sim.energy import energy_joules
from sparsat.sim.engines.decoded import array_op
from sparsat.sim.machine import Timing, run

SCHEMA = 1

Pattern = tuple[int, int]


@dataclass(frozen=True)
class Timed:
    """One run: `pattern` is None where everything is dense."""

    config: SATConfig
    pattern: Pattern | None
    scheduled: Scheduled
    timing: Timing
    accounts: Accounts

    @property
    def plans(self) -> list[Planned]:
        return self.scheduled.plans

    @property
    def cycles(self) -> int:
        return self.timing.cycles

    @property
    def gemm_cycles(self) -> int:
        """Cycles of all operations but vector ones: products and updates."""
        on = [not isinstance(planned.op.work, Vector) for planned in self.plans]
        return int(self.accounts.cycles[on].sum())

    def totals(self) -> dict[str, Any]:
        """The whole step in numbers; utilization counts multiplications by kept values only."""
        cycles = self.cycles
        macs = sum(planned.site.macs for planned in self.plans)
        dense_macs = sum(planned.site.dense_macs for planned in self.plans)
        seconds = cycles / self.config.clock_hz
        dram_bytes = int(self.accounts.lines.sum()) * self.config.line_bytes
        return {
            "cycles": cycles,
            "seconds": seconds,
            "macs": macs,
            "dense_macs": dense_macs,
            "utilization": _ratio(macs, self.config.cells * cycles),
            "dram_bytes": dram_bytes,
            "gflops_effective": _ratio(2e-9 * macs, seconds),
            "gflops_dense_equivalent": _ratio(2e-9 * dense_macs, seconds),
            "gemm_cycles": self.gemm_cycles,
            "gemm_utilization": _ratio(macs, self.config.cells * self.gemm_cycles),
            "memory_bytes": self.scheduled.memory_bytes,
            "instructions": len(self.scheduled.program),
            "energy_joules": energy_joules(self.config, self.scheduled.program, dram_bytes),
        }

    def ops(self) -> list[dict[str, Any]]:
        """Every operation in numbers, in the order in which they run."""
        return [self._op(index, planned) for index, planned in enumerate(self.plans)]

    def _op(self, index: int, planned: Planned) -> dict[str, Any]:
        cycles, mapping = int(self.accounts.cycles[index]), planned.mapping
        op, macs, pattern = planned.op, planned.site.macs, planned.pattern
        product_or_update = mapping or isinstance(op.work, Update)
        return {
            "name": op.name,
            "layer": op.layer,
            "stage": op.stage if product_or_update else "VECTOR",
            "dataflow": mapping.dataflow.name if mapping else "-",
            "pattern": f"{pattern[0]}:{pattern[1]}" if pattern else "dense",
            "interleave": [mapping.ir, mapping.is_] if mapping else [1, 1],
            "cycles": cycles,
            "macs": macs,
            "utilization": _ratio(macs, self.config.cells * cycles),
            "dram_bytes": int(self.accounts.lines[index]) * self.config.line_bytes,
            "bound": self.bound(index),
        }

    def bound(self, index: int) -> str:
        """What an operation's time is mostly made of.

        `vector`: it runs outside the array. An update is bound by `memory`. For products, the
        largest of `Accounts.parts`.
        """
        planned = self.plans[index]
        if planned.plan is None:
            return "memory" if isinstance(planned.op.work, Update) else "vector"
        parts = self.accounts.parts(index)
        return max(parts, key=lambda name: parts[name])

    def stalls(self) -> dict[str, int]:
        """The step's cycles by what the array does or waits for; they add up to all."""
        parts = dict.fromkeys(("compute", "drain", "fill", "memory", "vector", "update"), 0)
        for index, planned in enumerate(self.plans):
            cycles = int(self.accounts.cycles[index])
            if planned.plan is None:
                parts["update" if isinstance(planned.op.work, Update) else "vector"] += cycles
                continue
            for name, part in self.accounts.parts(index).items():
                parts[name] += part
        return parts


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
        return _ratio(self.dense.cycles, self.sparse.cycles) or 1.0

    @property
    def gemm_speedup(self) -> float:
        """Of products and updates alone; 1 where there are none."""
        return _ratio(self.dense.gemm_cycles, self.sparse.gemm_cycles) or 1.0

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
            "stalls": self.sparse.stalls(),
            "unmapped": [
                {"kind": each.kind, "ops": list(each.ops), "share": each.share}
                for each in self.step.unmapped
            ],
            "ops": self.sparse.ops(),
        }

    def to_json(self) -> str:
        """The same text for the same input, whatever the machine."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def report_data(self) -> dict[str, Any]:
        """What `report.render` takes."""
        runs = {"sparse": self.sparse, "dense": self.dense}
        config = self.sparse.config
        return self.to_dict() | {
            "dense_ops": self.dense.ops(),
            "timeline": {
                name: timeline(timed.scheduled.program, timed.timing)
                for name, timed in runs.items()
            },
            "peaks": {"macs_per_cycle": config.cells, "bytes_per_cycle": config.line_bytes},
        }


def simulate(step: Step, board: Board, schedule: Schedule, pattern: Pattern | None) -> Result:
    """Schedule and run `step` with weights pruned to `pattern` (n, m), and dense.

    ValueError where a layer, the pattern or the batch does not fit the machine or its memory.
    """
    dense = simulate_once(step, board, schedule, None)
    sparse = simulate_once(step, board, schedule, pattern) if pattern else dense
    return Result(step, schedule, board.memory, sparse, dense)


def simulate_once(step: Step, board: Board, schedule: Schedule, pattern: Pattern | None) -> Timed:
    """One run."""
    config = board.config
    scheduled = schedule_step(config, step, schedule, pattern)
    if scheduled.memory_bytes > board.capacity:
        needed, there = scheduled.memory_bytes / 2**30, board.capacity / 2**30
        raise ValueError(
            f"batch {step.batch} of {step.model} takes {needed:.1f} GiB of memory, "
            f"{board.name} has {there:.0f}: a smaller batch fits"
        )
    timing = run(config, scheduled.program, board.memory)
    lost = _lost_to_drain(config, scheduled.program, len(scheduled.plans))
    accounts = account(scheduled.program, scheduled.plans, timing, lost)
    return Timed(config, pattern, scheduled, timing, accounts)


def _lost_to_drain(config: SATConfig, program: list[Instruction], count: int) -> np.ndarray:
    lost = np.zeros(count, np.int64)
    for each in program:
        if isinstance(each, Exec) and not each.ws:
            op = array_op(each, resumed=False)
            wait = config.rows * op.interleave - op.groups * op.period(config)
            lost[each.op] += max(wait, 0) * op.tiles * each.outer * each.inner
    return lost


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
