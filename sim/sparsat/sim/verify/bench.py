"""How long the accelerator takes to be built in Verilator, and how fast it runs there.

`make bench-sat` prints docs/hardware_speed.md; CPU seconds, since the machine may be shared.
"""

import os
import resource
import tempfile
import time

import numpy as np

from sparsat.dataflow.ir import Conv
from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.hw.config import preset
from sparsat.hw.image import with_room
from sparsat.hw.tools.sat_model import SatModel
from sparsat.sim.machine import run as run_cycles
from sparsat.sim.verify.layers import step_of

LAYER = Conv(4, 14, 14, 64, 14, 14, 64, 3, 3, (1, 1), (1, 1))
CONFIG = preset("small")


def _cpu_seconds() -> float:
    """Of this process and those it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def build() -> tuple[SatModel, float, float]:
    """The model built from nothing: it, CPU seconds, seconds on the clock."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SPARSAT_CACHE"] = cache
        wall, cpu = time.perf_counter(), _cpu_seconds()
        model = SatModel(CONFIG)
        return model, _cpu_seconds() - cpu, time.perf_counter() - wall


def run(model: SatModel) -> tuple[int, int, float]:
    """A layer's step with its update at 2:8: cycles, those of the simulator, CPU seconds."""
    scheduled = schedule_step(CONFIG, step_of(LAYER), SCHEDULES["optimal"], (2, 8))
    program = list(scheduled.program)
    image, at = with_room(CONFIG, np.zeros(scheduled.memory_bytes, np.uint8), program)
    expected = run_cycles(CONFIG, program).cycles
    cpu = _cpu_seconds()
    found = model.run(program, image, at=at, limit=2 * expected)
    return found.cycles, expected, _cpu_seconds() - cpu


PAGE = """\
# What simulating the hardware costs

Made by `make bench-sat`: the whole accelerator of {rows}×{cols} cells in Verilator, by its C++
harness. It runs the training step of a 3×3 convolution, 64 channels, with its update at 2:8.

| | measured | limit |
| --- | --: | --: |
| build, CPU seconds | {build_cpu:.0f} | |
| build, seconds on the clock | {build_wall:.0f} | 180 |
| cycles | {cycles:,} | |
| cycles of the simulator | {expected:,} | the same |
| cycles per CPU second | {rate:,.0f} | 50,000 |
"""


def main() -> None:
    model, build_cpu, build_wall = build()
    cycles, expected, cpu = run(model)
    print(
        PAGE.format(
            rows=CONFIG.rows,
            cols=CONFIG.cols,
            build_cpu=build_cpu,
            build_wall=build_wall,
            cycles=cycles,
            expected=expected,
            rate=cycles / cpu,
        ),
        end="",
    )


if __name__ == "__main__":
    main()
