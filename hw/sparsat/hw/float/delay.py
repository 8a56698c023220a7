"""Values some cycles later."""

from amaranth.hdl import Module, Signal


def delayed(m: Module, value, cycles: int):
    """`value`, so many cycles later; without a reset, so that it may become shift-register LUTs."""
    for _ in range(cycles):
        register = Signal.like(value, name="delayed", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
