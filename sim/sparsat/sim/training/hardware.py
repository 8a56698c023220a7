"""Training on the generated hardware: all but VECTOR runs on the Verilated accelerator."""

from dataclasses import replace
from itertools import groupby

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction, Vector
from sparsat.sim.training.machine import OnVector
from sparsat.sim.verify.campaign import new_bench


class HardwareMachine:
    """Products and updates by the hardware, operation by operation, each compared with the
    simulator: cycles and bytes.

    RuntimeError, in one line, at the first difference.
    """

    def __init__(self, config: SATConfig) -> None:
        self.config = config
        self.bench = new_bench(config)

    def run(self, program: list[Instruction], memory: np.ndarray, on_vector: OnVector) -> bool:
        """See `Machine`."""
        overflow = False
        for _, group in groupby(program[:-1], key=lambda each: each.op):
            part = [replace(each, wait=0, signal=0) for each in group]
            (kind, *_) = {type(each) for each in part}
            if kind is Vector:
                on_vector(part[0].op, memory)
            else:
                overflow |= self.bench.run(self.config, [*part, Halt()], memory).overflow
            if self.bench.count.differences:
                raise RuntimeError(str(self.bench.count.differences[0]))
        return overflow
