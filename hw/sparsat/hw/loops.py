"""Nested loops that know ahead which turns are the last ones."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike


@dataclass(frozen=True)
class Level:
    """One of nested loops: `ends` when its body ends, in its `last` turn if that is set; in the
    `final` turn of all loops inside, too."""

    ends: Signal
    last: Signal
    final: Signal


def nest(
    m: Module, run: ValueLike, step: ValueLike, counts: dict[str, ValueLike]
) -> dict[str, Level]:
    """Loops of `counts` turns, the innermost first. `step` ends a turn of that one.

    Counts are the same from two cycles before the first cycle of `run` on. After the last turn of
    all loops they begin again.

    That turns are last ones is in registers, for each loop and for all up to each: the end of a
    loop waits for `step` alone.
    """
    levels: dict[str, Level] = {}
    inside, then_inside, only_inside = (Value.cast(1) for _ in range(3))  # of loops so far, `final`
    for name, count in counts.items():
        count = Value.cast(count)
        left, ends, then = Signal(count.shape(), name=f"{name}_left"), Signal(), Signal()
        last, final, second = (Signal(name=f"{name}_{n}") for n in ("last", "final", "second"))
        only, only_two, only_all = (Signal(name=f"{name}_{n}") for n in ("one", "two", "once"))
        m.d.comb += [
            ends.eq(step & inside),
            then.eq(Mux(inside, Mux(last, only, second), last)),  # `last` after the next step
        ]
        m.d.sync += [only.eq(count == 1), only_two.eq(count == 2)]
        begins = ~run | (step & final)
        with m.If(begins):
            m.d.sync += [left.eq(count), second.eq(only_two)]
        with m.Elif(ends):
            m.d.sync += [left.eq(left - 1), second.eq(left == 3)]
        m.d.comb += only_all.eq(only_inside & only)
        with m.If(~run):
            m.d.sync += [last.eq(only), final.eq(only_all)]
        with m.Elif(step):
            m.d.sync += [last.eq(then), final.eq(then_inside & then)]
        levels[name] = Level(ends, last, final)
        inside, then_inside, only_inside = final, then_inside & then, only_all
    return levels
