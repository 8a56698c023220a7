"""Training on the generated hardware: all but VECTOR runs on the Verilated accelerator."""

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction, Vector
from sparsat.sim.training.machine import OnVector
from sparsat.sim.values.check import operations
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
        for op, part in operations(program).items():
            if isinstance(part[0], Vector):
                on_vector(op, memory)
            else:
                overflow |= self.bench.run(self.config, [*part, Halt()], memory).overflow
            if self.bench.count.differences:
                raise RuntimeError(str(self.bench.count.differences[0]))
        return overflow
