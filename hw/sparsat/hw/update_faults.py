"""Fields of UPDATE that are not possible: what hardware finds of docs/isa.md's error FIELD."""

from amaranth.hdl import Cat

from sparsat.hw.config import SATConfig
from sparsat.hw.sore import pattern_fault
from sparsat.hw.update_runs import BACKWARD, FIELDS, FORWARD


def update_fault(config: SATConfig, x):
    """Whether something is wrong with the fields `x`: counts of 0, addresses that are not whole
    lines, patterns; what is not used may be anything."""
    line_log = (config.line_bytes - 1).bit_length()

    def parts(*names):
        return Cat(x[name][:line_log] for name in names).any()

    counts = Cat(x[name] == 0 for name in ("taps", "in_blocks", "out_blocks")).any()
    sparse = x.n != 2 << x.log_m
    indices = sparse & parts(FORWARD[1], BACKWARD[1])
    copies = pattern_fault(config, x) | parts(FORWARD[0], BACKWARD[0]) | indices
    return counts | parts(*FIELDS) | (x.copies & copies)
