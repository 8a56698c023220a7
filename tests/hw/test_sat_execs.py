"""EXECs as no compiler makes them: all bytes and all cycles."""

import random

import numpy as np
import pytest

from exec_programs import exec_memory, exec_program
from sat_bed import SLOW, TINY
from sparsat.hw.isa.validate import validate
from sparsat.sim.verify.campaign import new_bench


@pytest.mark.parametrize("config", [TINY, SLOW], ids=["tiny", "slow"])
def test_random_execs_take_the_same_cycles_and_leave_the_same_bytes(config):
    bench = new_bench(config)
    for number in range(20):
        rng = random.Random(f"{config.name} {number}")
        memory = exec_memory(np.random.default_rng(number), config)
        program = exec_program(rng, config)
        validate(config, program, len(memory))
        bench.run(config, program, memory)
    assert [str(each) for each in bench.count.differences] == []
