"""EXECs as no compiler makes them: all bytes and all cycles."""

import random

import numpy as np

from exec_programs import exec_memory, exec_program
from sparsat.hw.config import preset
from sparsat.hw.isa.validate import validate
from sparsat.sim.verify.campaign import new_bench

TINY = preset("tiny")


def test_random_execs_take_the_same_cycles_and_leave_the_same_bytes():
    bench = new_bench(TINY)
    for number in range(20):
        rng = random.Random(f"{TINY.name} {number}")
        program, memory = exec_program(rng, TINY), exec_memory(np.random.default_rng(number), TINY)
        validate(TINY, program, len(memory))
        bench.run(TINY, program, memory)
    assert [str(each) for each in bench.count.differences] == []
