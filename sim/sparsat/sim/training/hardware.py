"""Training on the generated hardware: each step is one program of the Verilated accelerator."""

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.image import OnVector
from sparsat.hw.isa.instructions import Instruction
from sparsat.sim.verify.campaign import new_bench
from sparsat.sim.verify.compare import Case

HOST_CYCLES = 200
"""That the host takes for a VECTOR, as the machine sees it."""


class HardwareMachine:
    """Programs by the hardware, which asks the host for every VECTOR; all cycles and bytes are
    compared with the simulator.

    RuntimeError, in one line, at the first difference.
    """

    def __init__(self, config: SATConfig) -> None:
        self.bench = new_bench(config)

    def run(self, program: list[Instruction], memory: np.ndarray, on_vector: OnVector) -> bool:
        """See `Machine`."""
        latency = self.bench.latencies[self.bench.count.programs % len(self.bench.latencies)]
        flags, found = self.bench.check(Case(program, memory, latency, HOST_CYCLES, on_vector))
        if self.bench.count.differences:
            raise RuntimeError(str(self.bench.count.differences[0]))
        memory[:] = found
        return flags.overflow
