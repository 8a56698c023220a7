"""Whether a program can still go on."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import NUMBER_BITS
from sparsat.hw.semaphores import ENGINES

QUIET = 256
"""Cycles in which nothing happens before that counts as a deadlock: more than any engine needs
from one thing that can be seen to the next."""


class Deadlock(wiring.Component):
    """Finds that all engines have waited for a semaphore, or had nothing to do, for `QUIET` cycles.

    Members
    -------
    clear : In(1)
        Something happens, or nothing has to.
    lacks, idle : In(engines)
        Who waits for semaphores, who has no instruction, in the order of `ENGINES`.
    numbers : In, following : In(NUMBER_BITS)
        The instructions that they have; the next one to be handed out.
    found : Out(1), number : Out(NUMBER_BITS)
        The oldest instruction that waits.
    """

    clear: In(1)
    lacks: In(len(ENGINES))
    idle: In(len(ENGINES))
    numbers: In(ArrayLayout(NUMBER_BITS, len(ENGINES)))
    following: In(NUMBER_BITS)
    found: Out(1)
    number: Out(NUMBER_BITS)

    def elaborate(self, platform):
        m = Module()
        quiet, count = Signal(), Signal(range(QUIET))
        m.d.comb += [
            quiet.eq((self.lacks | self.idle).all() & ~self.clear),
            self.found.eq(quiet & (count == QUIET - 1)),
        ]
        # One engine a cycle, to find the oldest.
        turn = count[: len(ENGINES).bit_length()]
        number, lacks = Signal(NUMBER_BITS), Signal()
        m.d.comb += [number.eq(Array(self.numbers)[turn]), lacks.eq((self.lacks >> turn)[0])]
        with m.If(quiet):
            m.d.sync += count.eq(count + 1)
            with m.If(lacks & (number < self.number)):
                m.d.sync += self.number.eq(number)
        with m.Else():
            m.d.sync += [count.eq(0), self.number.eq(self.following)]
        return m
