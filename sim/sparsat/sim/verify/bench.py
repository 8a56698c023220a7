"""How long the accelerator takes to be built in Verilator, and how fast it runs there.

`make bench-sat` prints this; CPU seconds, since the machine may be shared.
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


def main() -> None:
    """Build from nothing, run a layer's step with its update at 2:8."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SPARSAT_CACHE"] = cache
        wall, cpu = time.perf_counter(), _cpu_seconds()
        model = SatModel(CONFIG)
        wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    print(f"build of {CONFIG.rows}×{CONFIG.cols}: {cpu:.0f} CPU-s, {wall:.0f} s on the clock")
    scheduled = schedule_step(CONFIG, step_of(LAYER), SCHEDULES["optimal"], (2, 8))
    program = list(scheduled.program)
    image, at = with_room(CONFIG, np.zeros(scheduled.memory_bytes, np.uint8), program)
    expected = run_cycles(CONFIG, program).cycles
    cpu = _cpu_seconds()
    found = model.run(program, image, at=at, limit=2 * expected)
    cpu = _cpu_seconds() - cpu
    print(f"{found.cycles} cycles (simulator: {expected}): {found.cycles / cpu:,.0f} cycles/CPU-s")


if __name__ == "__main__":
    main()
