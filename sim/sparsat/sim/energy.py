"""An estimate of a step's energy: what is counted, times the table below.

The table is of 45 nm logic (Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9), with
DDR4 at 15 pJ per bit, device and interface. It is for comparing schedules and patterns: an FPGA
takes several times as much in its logic.
"""

from sparsat.hw.array_op import ArrayOp
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Exec, Instruction
from sparsat.sim.engines.decoded import array_op

PICOJOULES = {
    "multiply": 1.1,  # FP16
    "add": 0.9,  # FP32
    "scratchpad byte": 10 / 8,  # 8 KiB of SRAM, 64 bits a read
    "memory byte": 15 * 8.0,
}


def energy_joules(config: SATConfig, program: list[Instruction], dram_bytes: int) -> float:
    """Of the slots of the array (padding is multiplied too), their operands, and memory."""
    total = dram_bytes * PICOJOULES["memory byte"]
    for each in program:
        if isinstance(each, Exec):
            op = array_op(each, resumed=False)
            slots = op.tiles * op.groups * each.passes * each.outer * each.inner
            total += slots * slot_picojoules(config, op)
    return total * 1e-12


def slot_picojoules(config: SATConfig, op: ArrayOp) -> float:
    """Of one slot."""
    macs = config.cells * op.n * op.interleave
    a_bytes = config.rows * op.ir * op.m * 2
    b_bytes = config.cols * op.is_ * op.n * (2 if op.dense else 2.5)
    arithmetic = macs * (PICOJOULES["multiply"] + PICOJOULES["add"])
    return arithmetic + (a_bytes + b_bytes) * PICOJOULES["scratchpad byte"]


FPGA_FACTOR = 14
"""Dynamic power of logic in an FPGA over that of standard cells of the same process, on average
(Kuon and Rose, "Measuring the gap between FPGAs and ASICs", IEEE TCAD 26(2), 2007)."""


def watts(joules: float, dram_bytes: int, seconds: float) -> float:
    """Dynamic power of an FPGA while a step takes `seconds`, whose energy is `joules`.

    The logic's energy by the table above, times `FPGA_FACTOR`, and the memory's. Neither the gain
    from 45 nm to 16 nm nor static power, clocks and the shell are in it: an order of magnitude.
    """
    memory = dram_bytes * PICOJOULES["memory byte"] * 1e-12
    return ((joules - memory) * FPGA_FACTOR + memory) / seconds
