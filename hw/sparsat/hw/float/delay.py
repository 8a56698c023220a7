"""Values some cycles later."""

from amaranth.hdl import Module, Signal


def delayed(m: Module, value, cycles: int, *, reset: bool = False):
    """`value`, so many cycles later; without a reset it may become shift-register LUTs."""
    for _ in range(cycles):
        register = Signal.like(value, name="delayed", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value
