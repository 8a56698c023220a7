"""The timed machine against one that is stepped cycle by cycle, and laws of its times."""

import random

import numpy as np
import pytest

from random_programs import random_program
from slow_machine import SlowMachine
from sparsat.hw.config import preset
from sparsat.sim.machine import run

TINY = preset("tiny")
WIDE = preset("small").with_(name="wide", channels=2, wuve_lanes=2)
CASES = [("fixed", TINY, 150), ("fixed", WIDE, 100), ("ddr4", TINY, 30), ("ddr4", WIDE, 20)]


@pytest.mark.parametrize(("memory", "config", "count"), CASES, ids=lambda each: str(getattr(each, "name", each)))
def test_equals_the_machine_stepped_cycle_by_cycle(memory, config, count):
    for number in range(count):
        program = random_program(random.Random(f"{memory} {config.name} {number}"), config)
        found = run(config, program, memory).instructions
        slow = SlowMachine(config, program, memory).run()
        for field in ("entered", "start", "end", "read", "written"):
            expected = [getattr(each, field) for each in slow]
            assert found[field].tolist() == expected, (number, field, program)
