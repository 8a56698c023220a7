"""Fields of EXEC that no array can run: what hardware finds of docs/isa.md's error FIELD."""

from amaranth.hdl import Cat, Module, Signal

from sparsat.hw.array_op import m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.exec_rules import COUNTS
from sparsat.hw.isa.instructions import Advance


def exec_fault(m: Module, config: SATConfig, x):
    """Whether something is wrong with the fields `x`; a register, three cycles behind `x`.

    What depends on fields of many bits (addresses, numbers of chunks) is `validate`'s.
    """
    group, dense = Signal(5, name="group"), Signal(name="dense")
    m.d.comb += [group.eq(m_of(x.log_m)), dense.eq(x.n == group)]
    a_values, b_values, sums = Signal(12), Signal(12), Signal(12)
    m.d.sync += [
        a_values.eq(x.ir * group),
        b_values.eq(x.is_ * x.n),
        sums.eq(x.ir * x.is_),
    ]
    wrong = (
        *(x[name] == 0 for name in (*COUNTS, "n", "ir", "is_")),
        *(x[f"{half}_advance"] > max(Advance) for half in "abc"),
        x.n > group,
        group > config.m_max,
        (x.log_m == 0) & ~dense,
        (x.a_mn | x.b_mn) & ~dense,
        x.a_mn & ((x.ir & (x.ir - 1)).any() | (x.b_n != 0) | (x.b_last != 0)),
        (x.b_last != 0) & (~dense | (x.b_last >= x.n)),
        x.resume & ~x.c_held,
        a_values > config.a_regs,
        b_values > config.b_regs,
        sums > config.depth,
    )
    found, fault = Signal(len(wrong)), Signal()
    m.d.sync += [found.eq(Cat(wrong)), fault.eq(found.any())]
    return fault
