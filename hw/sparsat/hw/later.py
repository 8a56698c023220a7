"""Values some cycles later, through registers that are reset."""

from amaranth.hdl import Module, Signal, Value, ValueLike


def later(m: Module, value: ValueLike, cycles: int = 1):
    """`value`, so many cycles later. `float.delay.delayed` is the one without a reset."""
    for _ in range(cycles):
        register = Signal.like(value if isinstance(value, Signal) else Value.cast(value))
        m.d.sync += register.eq(value)
        value = register
    return value
