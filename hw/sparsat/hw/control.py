"""What the machine as a whole does: start, end, error, reset."""

from contextlib import contextmanager

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import NUMBER_BITS
from sparsat.hw.instruction import Error
from sparsat.hw.register_map import State

SETTLE = 8
"""Cycles after the last instruction's end in which its error would still show."""


class Control(wiring.Component):
    """Starts programs on the core, and stops it in an orderly way.

    The core is reset before each start. After an error, or when the host resets the machine, no
    burst begins any more; only when memory has answered all that had begun is the machine in state
    ERROR, or is the core reset and the machine IDLE.

    Members
    -------
    start, reset : In(1)
        The host wants to. A start that comes while the machine is at work is `refused`, until the
        next one that is not, or a reset.
    misfit : In(1)
        With these numbers nothing can start: FIELD, at instruction 0.
    done, drained, waiting : In(1), core_error : In(Error), core_number : In(NUMBER_BITS)
        The core has ended, memory owes it no answer, it waits for the host, it has found an error.
    take : Out(1)
        A program starts: what the host has said of it holds until the next one does.
    core_reset, core_start, stop : Out(1)
        To the core.
    state : Out(State), refused : Out(1), error : Out(Error), error_number : Out(NUMBER_BITS)
        To the host.
    running : Out(1)
        The core runs; the first of these cycles is number 0.
    ended : Out(1)
        The program has, for good or with an error.
    """

    start: In(1)
    reset: In(1)
    misfit: In(1)
    done: In(1)
    drained: In(1)
    waiting: In(1)
    core_error: In(Error)
    core_number: In(NUMBER_BITS)
    take: Out(1)
    core_reset: Out(1)
    core_start: Out(1)
    stop: Out(1)
    state: Out(State)
    refused: Out(1)
    error: Out(Error)
    error_number: Out(NUMBER_BITS)
    running: Out(1)
    ended: Out(1)

    def elaborate(self, platform):
        m = Module()
        settled = Signal(range(SETTLE + 1))

        def fail(code, number):
            m.d.sync += [self.error.eq(code), self.error_number.eq(number)]

        @contextmanager
        def at(name, state):
            with m.State(name):
                m.d.comb += self.state.eq(state)
                yield
                with m.If(self.reset):
                    m.next = "DRAIN"

        @contextmanager
        def rest(name, state):
            """Wait for a start."""
            with at(name, state):
                with m.If(self.start):
                    fail(Error.NONE, 0)
                    m.d.comb += self.take.eq(1)
                    m.d.sync += self.refused.eq(0)
                    m.next = "CLEAR"
                yield

        @contextmanager
        def work(name, state):
            with at(name, state):
                with m.If(self.start):
                    m.d.sync += self.refused.eq(1)
                yield

        with m.FSM():
            with rest("IDLE", State.IDLE):
                pass
            with work("CLEAR", State.RUNNING):
                m.d.comb += self.core_reset.eq(1)
                m.next = "START"
                with m.If(self.misfit):
                    fail(Error.FIELD, 0)
                    m.next = "STOP"
            with work("START", State.RUNNING):
                m.d.comb += self.core_start.eq(1)
                m.d.sync += settled.eq(0)
                m.next = "RUN"
            with work("RUN", State.RUNNING):
                m.d.comb += self.running.eq(1)
                m.d.sync += settled.eq(Mux(self.done, settled + 1, 0))
                with m.If(self.waiting):
                    m.d.comb += self.state.eq(State.WAITING)
                with m.If(self.core_error != Error.NONE):
                    fail(self.core_error, self.core_number)
                    m.next = "STOP"
                with m.Elif(settled == SETTLE):
                    m.d.comb += self.ended.eq(1)
                    m.next = "DONE"
            with work("STOP", State.RUNNING):
                m.d.comb += self.stop.eq(1)
                with m.If(self.drained):
                    m.d.comb += self.ended.eq(1)
                    m.next = "ERROR"
            with rest("DONE", State.DONE):
                pass
            with rest("ERROR", State.ERROR):
                pass
            with work("DRAIN", State.RESETTING):
                m.d.comb += self.stop.eq(1)
                with m.If(self.drained):
                    fail(Error.NONE, 0)
                    m.d.comb += self.core_reset.eq(1)
                    m.d.sync += self.refused.eq(0)
                    m.next = "IDLE"
        return m
