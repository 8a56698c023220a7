"""Many layers through the hardware: what was compared, and what differs."""

import random
from collections.abc import Iterator
from pathlib import Path

from sparsat.dataflow.ir import Step
from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.hw.config import SATConfig
from sparsat.sim.values import check_step
from sparsat.sim.verify.compare import Bench, Difference
from sparsat.sim.verify.layers import Pattern, kinds_of, random_step

LATENCIES = (60, 150)
"""Of memory, in cycles; programs take turns."""


def run_layer(bench: Bench, step: Step, schedule: str, pattern: Pattern | None, seed: int) -> None:
    """All operations of a layer's step on random operands: bytes and cycles against the simulator,
    values against the golden model."""
    scheduled = schedule_step(bench.config, step, SCHEDULES[schedule], pattern)
    for planned, mismatch in zip(
        scheduled.plans, check_step(bench.config, scheduled, seed, bench.run), strict=True
    ):
        if mismatch:
            where = (
                f"program {bench.count.programs - 1}, {planned.op.name} of {step.ops[0].work}, "
                f"element {list(mismatch.first)} ({mismatch.wrong} of {mismatch.elements} differ)"
            )
            found = Difference("golden", where, mismatch.expected, mismatch.got)
            bench.count.differences.append(found)


def random_layers(bench: Bench, programs: int, seed: int) -> Iterator[int]:
    """Random layers until so many programs have run; yields how many have."""
    rng = random.Random(f"{bench.config.name} {seed}")
    while bench.count.programs < programs:
        step, schedule, pattern = random_step(rng, bench.config)
        run_layer(bench, step, schedule, pattern, rng.randrange(1 << 16))
        yield bench.count.programs


def model_layers(bench: Bench, step: Step, pattern: Pattern | None, seed: int) -> Iterator[str]:
    """The kinds of layers of a model, dense and pruned; yields their names."""
    for name, cut in kinds_of(step):
        for each in dict.fromkeys((None, pattern)):
            if each is None or _prunable(cut, each):
                run_layer(bench, cut, "optimal", each, seed)
        yield name


def _prunable(step: Step, pattern: Pattern) -> bool:
    (layer,) = step.layers or (None,)
    if layer is None:
        return False
    channels = layer.conv.ci // layer.conv.groups, layer.conv.co // layer.conv.groups
    return not layer.first and all(c % pattern[1] == 0 for c in channels)


def new_bench(config: SATConfig, waveform: Path | None = None) -> Bench:
    return Bench(config, LATENCIES, waveform)
