"""Counters that have compared before they are asked."""

from amaranth.hdl import Cat, Module, Signal, ValueLike


def tally(m: Module, come: ValueLike, go: ValueLike, most: int) -> Signal:
    """How many have come and not gone: bit k says whether they are more than k.

    `most` of them at most: it is a register with a bit for each.
    """
    many = Signal(most)
    with m.If(come & ~go):
        m.d.sync += many.eq(Cat(1, many))
    with m.Elif(go & ~come):
        m.d.sync += many.eq(many >> 1)
    return many


class Countdown:
    """Turns of a loop, and whether this is the `last` of them.

    `begin` and `step` are statements for a clocked domain.
    """

    def __init__(self, shape, name: str):
        self.left, self.last = Signal(shape, name=name), Signal(name=f"{name}_last")

    def begin(self, turns):
        return [self.left.eq(turns), self.last.eq(turns == 1)]

    def step(self):
        return [self.left.eq(self.left - 1), self.last.eq(self.left == 2)]
