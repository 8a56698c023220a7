"""An estimate of a step's energy: what is counted, times the table below.

The table is of 45 nm logic (Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9), with
DDR4 at 15 pJ per bit (a device and its interface at 1.2 V; Micron's power calculator gives 12 to 20).
It is for comparing schedules and patterns: an FPGA takes several times as much in its logic.
"""

from sparsat.dataflow.schedule import Planned
from sparsat.hw.config import SATConfig

PICOJOULES = {
    "multiply": 1.1,  # FP16
    "add": 0.9,  # FP32
    "scratchpad byte": 10 / 8,  # 8 KiB SRAM, 64 bits a read
    "memory byte": 15 * 8.0,
}


def energy_joules(config: SATConfig, plans: list[Planned], dram_bytes: int) -> float:
    """Multiplications of kept values, operands read from the scratchpads, lines of memory."""
    macs = sum(planned.slots(config) * _macs_per_slot(config, planned) for planned in plans)
    operands = sum(planned.slots(config) * _bytes_per_slot(config, planned) for planned in plans)
    table = PICOJOULES
    total = macs * (table["multiply"] + table["add"])
    total += operands * table["scratchpad byte"] + dram_bytes * table["memory byte"]
    return total * 1e-12


def _macs_per_slot(config: SATConfig, planned: Planned) -> int:
    mapping = planned.mapping
    return config.cells * mapping.n * mapping.ir * mapping.is_ if mapping else 0


def _bytes_per_slot(config: SATConfig, planned: Planned) -> float:
    """A in FP16; B in FP16, sparse with half a byte of index."""
    mapping = planned.mapping
    if mapping is None:
        return 0
    width = 2 if mapping.n == mapping.m else 2.5
    return config.rows * mapping.ir * mapping.m * 2 + config.cols * mapping.is_ * mapping.n * width
