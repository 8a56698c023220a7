"""What runs a program: the functional machine, or anything else with memory and a host."""

from typing import Protocol

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.image import OnVector
from sparsat.hw.isa.instructions import Instruction
from sparsat.sim import functional


class Machine(Protocol):
    """Runs programs on uint8 memory, in place; the host is called for every VECTOR."""

    def run(self, program: list[Instruction], memory: np.ndarray, on_vector: OnVector) -> bool:
        """Whether an UPDATE met a gradient that is not finite."""


class FunctionalMachine:
    """`sparsat.sim.functional`: bytes without time."""

    def __init__(self, config: SATConfig) -> None:
        self.config = config

    def run(self, program: list[Instruction], memory: np.ndarray, on_vector: OnVector) -> bool:
        return functional.run(self.config, program, memory, on_vector).overflow
