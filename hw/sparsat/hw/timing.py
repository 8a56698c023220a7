"""How many cycles the array takes: the closed form, equal to the hardware's to the cycle."""

from sparsat.hw.array_op import ArrayOp, Dataflow
from sparsat.hw.config import SATConfig

START = 6
"""From taking an operation to its first slot."""
ISSUE_TO_SUM = 10
"""From a slot's arrival at a row to the last pipeline stage of its first multiplication."""
LEAVE = 4
"""From the last sum's departure in column 0 to that column's output register, and idle again."""
FEEDER_ROWS = 8
"""Rows of the array that one feeder serves, reading one word of A per cycle."""
WORD = 16
"""Values of A in a word."""


def array_cycles(config: SATConfig, op: ArrayOp) -> int:
    """Cycles from the one in which the operation is taken to the one in which the next can be.

    Holds where the operands of every slot are at hand in time. The parts are: waiting for the last
    slot to start, that slot's way to the last row, its multiplications, the sums' way out.
    """
    last_slot = _last_slot(config, op)
    hop = 1 if op.dataflow is Dataflow.OS else op.period(config) + 1
    to_last_row = (config.rows - 1) * hop
    multiply = (op.n - 1) * op.pace + op.interleave - 1
    sums_above = (config.rows - 1) * op.interleave if op.dataflow is Dataflow.OS else 0
    return last_slot + to_last_row + ISSUE_TO_SUM + multiply + sums_above + config.cols + LEAVE


def _last_slot(config: SATConfig, op: ArrayOp) -> int:
    """Cycle in which the last slot starts in row 0."""
    period = op.period(config)
    if op.dataflow is Dataflow.WS:
        # A set of weights takes `rows` periods to come down the columns.
        return START + ((op.tiles - 1) * max(op.groups, config.rows) + op.groups) * period
    tile = op.groups * period
    # A tile may end when the sums of the previous one have left.
    drain = (config.rows + op.resume) * op.interleave
    first_end = START + tile
    if op.resume:
        # Two passes of initial sums come first.
        first_end = START - 1 + drain + max(tile + 2, drain)
    return first_end + (op.tiles - 1) * max(tile, drain)
