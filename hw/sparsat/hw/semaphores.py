"""Semaphores: the counters that order the engines."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.isa.instructions import SEM_MAX, SEM_START, Opcode, Sem
from sparsat.hw.isa.semaphores import GIVER, TAKER

SEMS = len(Sem)

HALF_GIVER = {
    Sem.A_FULL: Opcode.LOAD_A,
    Sem.A_FREE: Opcode.EXEC,
    Sem.B_FULL: Opcode.LOAD_B,
    Sem.B_FREE: Opcode.EXEC,
    Sem.C_FULL: Opcode.EXEC,
    Sem.C_FREE: Opcode.STORE,
}
HALF_TAKER = {
    Sem.A_FULL: Opcode.EXEC,
    Sem.A_FREE: Opcode.LOAD_A,
    Sem.B_FULL: Opcode.EXEC,
    Sem.B_FREE: Opcode.LOAD_B,
    Sem.C_FULL: Opcode.STORE,
    Sem.C_FREE: Opcode.EXEC,
}

ENGINES = tuple(opcode for opcode in Opcode if opcode is not Opcode.HALT)
"""Those that have instructions, by their instructions' opcodes."""

TOKENS = wiring.Signature(
    {
        "wait": Out(SEMS),
        "waited": In(1),
        "take": Out(SEMS),
        "taken": In(1),
        "give": Out(SEMS),
    }
)
"""An engine's side of the semaphores, all masks of `Sem`.

It asks for those in which an instruction is to `wait`, and those to `take` for its chunk; `waited`
and `taken` answer in the same cycle that all of them were there and are taken. What it gives can be
taken in the same cycle.
"""


class Semaphores(wiring.Component):
    """Counters from 0 to `SEM_MAX`.

    An engine takes all semaphores of a mask in one cycle, or none. Each semaphore has one giver and
    one taker (docs/isa.md), so engines never compete for one, and the order in which they take
    makes no difference. Bits of a mask that are not the engine's own count for nothing: the
    dispatcher stops at instructions that have some.

    Members
    -------
    load_a, load_b, exec, store, update, vector : In(TOKENS)
    lacks : Out(engines)
        Who asks for what is not there, in the order of `ENGINES`.
    overflow : Out(SEMS)
        Semaphores that are given in this cycle though they stand at `SEM_MAX`; they stay there.
    """

    def __init__(self):
        ports = {engine.name.lower(): In(TOKENS) for engine in ENGINES}
        super().__init__(ports | {"lacks": Out(len(ENGINES)), "overflow": Out(SEMS)})

    def elaborate(self, platform):
        m = Module()
        counts = [Signal(range(SEM_MAX + 1), init=SEM_START.get(sem, 0)) for sem in Sem]
        giver, taker = HALF_GIVER | GIVER, HALF_TAKER | TAKER
        there = Signal(SEMS)
        for number, engine in enumerate(ENGINES):
            own = sum(1 << sem for sem in Sem if taker[sem] == engine)
            tokens = self._of(engine)
            m.d.comb += [
                tokens.waited.eq((tokens.wait & own & ~there) == 0),
                tokens.taken.eq((tokens.take & own & ~there) == 0),
                self.lacks[number].eq(~tokens.waited | ~tokens.taken),
            ]
        for sem, count in zip(Sem, counts, strict=True):
            given = self._of(giver[sem]).give[sem]
            to = self._of(taker[sem])
            gone = (to.wait[sem] & to.waited) | (to.take[sem] & to.taken)
            m.d.comb += [
                there[sem].eq(given | (count != 0)),
                self.overflow[sem].eq(given & (count == SEM_MAX)),
            ]
            with m.If(Cat(given, gone) == 0b01):
                m.d.sync += count.eq(Mux(count == SEM_MAX, SEM_MAX, count + 1))
            with m.Elif(Cat(given, gone) == 0b10):
                m.d.sync += count.eq(count - 1)
        return m

    def _of(self, engine: Opcode):
        return getattr(self, engine.name.lower())
