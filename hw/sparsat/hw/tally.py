"""Counters that have compared before they are asked."""

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike


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


def turns(m: Module, step: ValueLike, count: Value, name: str) -> Signal:
    """Whether a loop of `count` turns is at its last one; `step` goes on to the next.

    It comes from a register. `count` may change while the loop is at its first turn, but not in the
    cycle before a step.
    """
    left, first = Countdown(count.shape(), name), Signal(init=1, name=f"{name}_first")
    with m.If(step & ~left.last):
        m.d.sync += [*left.step(), first.eq(0)]
    with m.Elif(step | first):
        m.d.sync += [*left.begin(count), first.eq(1)]
    return left.last
