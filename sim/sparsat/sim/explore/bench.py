"""How many designs are screened in a second, and how far that is from the simulator.

`make bench-explore` prints docs/exploration_speed.md.
"""

import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np

from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.step_cache import captured_step
from sparsat.hw.device import DEVICES
from sparsat.sim.boards import board
from sparsat.sim.explore.jobs import screen
from sparsat.sim.explore.space import Candidate, candidate, random_design
from sparsat.sim.markdown import table
from sparsat.sim.simulate import simulate_once

BOARD = "vcu1525"
CASES = (("resnet18", 512), ("resnet18", 1), ("vit", 64), ("resnet50", 512))
"""Models and batches."""
DESIGNS = 200
SAMPLE = 8
"""Designs that are screened, and of those simulated, for each case."""
PATTERN = "2:8"
LEAST = 50
"""Designs per second of one core that ResNet18 is to reach."""

Row = tuple[str, ...]
HEAD: Row = (
    *("model", "batch", "designs", "designs/s", "proposing, ms", "screening, ms"),
    *("simulated", "time: mean error", "largest", "energy: mean error", "largest"),
)


def designs(count: int, seed: int = 1) -> Iterator[Candidate]:
    """Different ones that fit."""
    seen: set[str] = set()
    rng = Random(seed)
    while len(seen) < count:
        found = candidate(random_design(rng, [PATTERN]), DEVICES[BOARD])
        if found and found.design.key not in seen:
            seen.add(found.design.key)
            yield found


def measure(model: str, batch: int) -> Row:
    """CPU seconds of this process; the first designs, which compile, do not count."""
    step, place = captured_step(model, batch), board(BOARD)
    text = step.to_json()
    screen(text, place.memory, [(each.config, (2, 8)) for each in designs(2, seed=0)])
    start = time.process_time()
    wanted = list(designs(DESIGNS))
    proposed = time.process_time()
    found = screen(text, place.memory, [(each.config, (2, 8)) for each in wanted])
    screened = time.process_time()
    errors = []
    for each, estimate in list(zip(wanted, found, strict=True))[:SAMPLE]:
        if isinstance(estimate, str):
            continue
        board_ = replace(place, config=each.config)
        timed = simulate_once(step, board_, SCHEDULES["optimal"], (2, 8))
        joules = timed.totals()["energy_joules"]
        errors.append((estimate.cycles / timed.cycles - 1, estimate.joules / joules - 1))
    error = np.abs(np.array(errors))
    return (
        *(model, str(batch), str(DESIGNS), f"{DESIGNS / (screened - start):.0f}"),
        f"{1e3 * (proposed - start) / DESIGNS:.1f}",
        f"{1e3 * (screened - proposed) / DESIGNS:.1f}",
        str(len(errors)),
        *(f"{share:.2%}" for share in np.array([error.mean(0), error.max(0)]).T.ravel()),
    )


PAGE = """\
# What exploration costs

Made by `make bench-explore`: CPU seconds of one process, that is of one core, under Python
{python}; {designs} random designs that fit `{board}`, weights {pattern}. *Proposing* draws designs
until one fits, so it counts those that do not. *Screening* is the estimate of a step's time and
energy. The first {sample} designs are simulated too; errors of the estimate are absolute.

{table}
ResNet18 is to reach {least} designs per second and core. In a batch of one, memory takes the time,
most of it for updates, and the estimate of how far they hide behind products is rough. Designs on a
front are always simulated.
"""

if __name__ == "__main__":
    print(
        PAGE.format(
            python=platform.python_version(),
            designs=DESIGNS,
            board=BOARD,
            pattern=PATTERN,
            sample=SAMPLE,
            least=LEAST,
            table=table(HEAD, [measure(*case) for case in CASES]),
        ),
        end="",
    )
