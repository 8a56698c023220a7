"""A vector's answer comes exactly `latency` cycles after it, and no other cycle sees it."""

from functools import partial

import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.add32 import Add32
from sparsat.hw.float.mac import MultiplyAccumulate
from sparsat.hw.float.multiply import Multiply
from sparsat.hw.float.multiply32 import Multiply32
from sparsat.hw.float.pack import LoadAccumulator, Narrow, StoreAccumulator
from sparsat.hw.float.probes import AccumulatorForms, RoundTrip, UpdateOf
from sparsat.hw.float.unpack import Normalise, ToCol, ToRow, Widen
from sparsat.hw.formats import BF16, FP16, FP32
from sparsat.hw.wuve import FACTORS

START = 40
"""Cycle of the vector; the answers to idle inputs have filled the pipeline by then."""


def one(fmt):
    return fmt.bias << fmt.frac_bits


def units_of(fmt):
    """Unit, its idle inputs, and for each input the value of the one cycle that differs."""
    row = {"mant": 1 << fmt.frac_bits, "exp": 90}
    factors = {"a": row, "b": {"exp": 40}}
    product = {"mant": 1 << 2 * fmt.frac_bits, "exp": 126}
    accumulator = {"mant": 1 << 23, "exp": 127}
    sums = {"p": {}, "c": accumulator, "fresh": 0}
    other_sums = {"p": product, "c": {**accumulator, "exp": 128}, "fresh": 1}
    words = {"a": one(fmt), "b": one(fmt), "c": 0}
    other_words = {"a": 0, "b": 0, "c": one(FP32)}
    return [
        (Normalise, {"i": 0}, {"i": one(fmt)}),
        (ToRow, {"i": 0}, {"i": one(fmt)}),
        (ToCol, {"i": 0}, {"i": one(fmt)}),
        (Multiply, factors, {"a": {**row, "exp": 91}, "b": {"exp": 41}}),
        (Accumulate, sums, other_sums),
        (Narrow, {"i": 0}, {"i": one(FP32)}),
        (Widen, {"i": 0}, {"i": one(fmt)}),
        (MultiplyAccumulate, words, other_words),
        (AccumulatorForms, words, other_words),
    ]


def cases():
    for fmt in (FP16, BF16):
        for unit, idle, changes in units_of(fmt):
            for port, value in changes.items():
                name = f"{unit.__name__}-{fmt.name}-{port}"
                yield pytest.param(partial(unit, fmt=fmt), idle, {port: value}, id=name)
    for unit, idle, value in (
        (LoadAccumulator, 0, one(FP32)),
        (StoreAccumulator, {}, {"mant": 1 << 23, "exp": 127}),
        (RoundTrip, 0, one(FP32)),
    ):
        yield pytest.param(unit, {"i": idle}, {"i": value}, id=unit.__name__)
    for unit in (Multiply32, Add32):
        for port in "ab":
            idle = {"a": one(FP32), "b": one(FP32)}
            yield pytest.param(unit, idle, {port: 0}, id=f"{unit.__name__}-{port}")
    for result in ("weight", "momentum"):
        component = partial(UpdateOf, result=result)
        ones = {port: one(FP32) for port in ("gradient", "weight", "momentum", *FACTORS)}
        idle = {**ones, "masked": 1}
        for port in idle if result == "weight" else sorted(idle.keys() - {"rate"}):
            yield pytest.param(component, idle, {port: 0}, id=f"WUVELane-{result}-{port}")


@pytest.mark.parametrize(("make", "idle", "change"), list(cases()))
def test_an_answer_comes_after_exactly_the_latency(make, idle, change):
    component = make()
    calm, pulsed = outputs(component, idle, {}), outputs(component, idle, change)
    assert len(set(calm[START:])) == 1
    changed = [cycle for cycle in range(2 * START) if calm[cycle] != pulsed[cycle]]
    assert changed == [START + component.latency]


def outputs(component, idle, change):
    """The output's bits in each cycle; `change` is applied to the idle inputs in cycle `START`."""
    seen = []

    async def drive(ctx):
        for cycle in range(2 * START):
            for port, value in (idle | change if cycle == START else idle).items():
                ctx.set(getattr(component, port), value)
            seen.append(ctx.get(Value.cast(component.o)))
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return seen
