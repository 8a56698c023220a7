"""The conductor alone: its constants, and the slots it gives, with random stalls on every side."""

import functools
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from amaranth.hdl import Const

from array_cases import interleaves
from blocks import op_fields, simulate
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.conductor import Conductor
from sparsat.hw.config import DENSE_GROUP_SIZES, GROUP_SIZES, SATConfig, preset
from sparsat.hw.request import encode_request
from sparsat.hw.slots import SLOT

TINY = preset("tiny")


@dataclass
class Trace:
    """What one operation showed; cycles count from the one in which it was taken."""

    slots: list[dict[str, int]] = field(default_factory=list)  # with "cycle" and "step" besides
    b_ready: list[int] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    done: int = 0
    idle: int = 0

    def of(self, name: str) -> list[dict[str, int]]:
        return [slot for slot in self.slots if slot[name]]


def conduct(config: SATConfig, *ops: ArrayOp, stall: float = 0.0, seed: int = 1) -> list[Trace]:
    """Run operations one after another; the conductor hears of the end of each some time later."""
    dut, rng, traces = Conductor(config=config), random.Random(seed), []

    def cycle_of(ctx, trace: Trace, cycle: int) -> None:
        if ctx.get(dut.slot_valid):
            slot = {name: ctx.get(dut.slot[name]) for name in SLOT.members}
            assert ctx.get(dut.step_ready) == slot["load_a"] <= ctx.get(dut.step_valid)
            trace.slots.append({**slot, "cycle": cycle})
            trace.constants |= {name: ctx.get(dut.op[name]) for name in op_fields(config, ops[0])}
        else:
            assert not ctx.get(dut.step_ready)
        if ctx.get(dut.b_ready):
            trace.b_ready.append(cycle)

    async def testbench(ctx):
        for op in ops:
            trace, cycle, until_done = Trace(), 0, -1
            assert (ctx.get(dut.i.ready), ctx.get(dut.busy)) == (1, 0)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, dut.i.payload.shape().from_bits(encode_request(config, op)))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, dut.i.payload.shape().from_bits(0))
            while ctx.get(dut.busy):
                cycle += 1
                assert not ctx.get(dut.i.ready)
                ctx.set(dut.step_valid, rng.random() >= stall)
                ctx.set(dut.done, until_done == 0)
                cycle_of(ctx, trace, cycle)
                if until_done == 0:
                    trace.done = cycle
                until_done -= 1
                if trace.slots and trace.slots[-1]["end"] and trace.slots[-1]["cycle"] == cycle:
                    feed = config.rows * op.period(config) if op.dataflow is Dataflow.WS else 0
                    until_done = feed + rng.randrange(20)
                await ctx.tick()
            trace.idle = cycle + 1
            traces.append(trace)

    simulate(dut, testbench)
    return traces


def some_ops(count: int, seed: int) -> list[ArrayOp]:
    """Random operations of every sort."""
    rng, ops = random.Random(seed), []
    for number in range(count):
        dense = number % 3 == 0
        m = rng.choice(DENSE_GROUP_SIZES if dense else GROUP_SIZES)
        n = m if dense else rng.randint(1, m)
        ir, is_ = rng.choice(interleaves(TINY, n, m))
        ops.append(
            ArrayOp(
                dataflow=rng.choice(list(Dataflow)),
                n=n,
                m=m,
                ir=ir,
                is_=is_,
                groups=rng.randint(1, 5),
                tiles=rng.randint(1, 4),
                a_order=rng.choice(list(Order)) if n == m else Order.K,
                b_order=rng.choice(list(Order)) if n == m else Order.K,
                resume=rng.random() < 0.5,
            )
        )
    return ops


OPS = some_ops(16, seed=1)


@functools.cache
def traces_of_ops(stall: float) -> list[Trace]:
    return conduct(TINY, *OPS, stall=stall)


@pytest.fixture(params=[0.0, 0.7], ids=lambda stall: f"stall-{stall}")
def traces(request) -> list[Trace]:
    return traces_of_ops(request.param)


@pytest.mark.parametrize("a_link", [1, 2])
def test_constants(a_link):
    config = TINY.with_(a_link=a_link, depth=32, a_regs=64, b_regs=64)
    ops = [replace(op, groups=1, tiles=1) for op in OPS]
    for op, trace in zip(ops, conduct(config, *ops), strict=True):
        assert trace.constants == op_fields(config, op), op


def test_slots_come_in_order(traces):
    """Loading alone first, then `groups` multiplications for each tile, each loading the next."""
    for op, trace in zip(OPS, traces, strict=True):
        slots = [slot for slot in trace.slots if not slot["fill"]]
        ws = op.dataflow is Dataflow.WS
        places = [(t, g) for t in range(op.tiles) for g in range(op.groups)]
        assert [slot["compute"] for slot in slots] == [0] + [1] * len(places)
        for slot, (tile, group) in zip(slots[1:], places, strict=True):
            last, final = group == op.groups - 1, tile == op.tiles - 1
            assert slot["first"] == (ws or group == 0)
            assert slot["last"] == (ws or last)
            assert slot["end"] == (last and final)
            assert slot["load_a"] == (not slot["end"])
            assert slot["load_b"] == ((last or not ws) and not slot["end"])


def test_what_is_loaded_is_what_the_next_slot_uses(traces):
    for trace in traces:
        slots = [slot for slot in trace.slots if not slot["fill"]]
        for slot, following in pairwise(slots):
            for buffer, load in (("a_sel", "load_a"), ("b_sel", "load_b")):
                assert (following[buffer] != slot[buffer]) == slot[load]


def test_tiles_alternate_between_the_halves_of_the_exchange_memory(traces):
    for op, trace in zip(OPS, traces, strict=True):
        if op.dataflow is Dataflow.OS:
            halves = [slot["half"] for slot in trace.of("last")]
            assert halves == [tile % 2 for tile in range(op.tiles)]


def test_initial_sums_are_asked_for_once(traces):
    for op, trace in zip(OPS, traces, strict=True):
        os = op.dataflow is Dataflow.OS
        assert len(trace.of("fill")) == (2 if op.resume and os else 0)
        if not op.resume:
            assert not trace.of("take")
        elif os:  # with the passes of sums, two tiles ahead
            passes = [slot for slot in trace.slots if slot["fill"] or slot["last"]]
            assert [slot["take"] for slot in passes] == [1] * op.tiles + [0] * 2
        else:  # for each slot with the one before
            assert [slot["take"] for slot in trace.slots] == [1] * op.tiles * op.groups + [0]


def test_slots_keep_their_distance(traces):
    for op, trace in zip(OPS, traces, strict=True):
        slots = [slot["cycle"] for slot in trace.slots if not slot["fill"]]
        assert min(b - a for a, b in pairwise(slots)) >= op.period(TINY)


def test_a_tile_ends_when_the_sums_of_the_one_before_have_left(traces):
    for op, trace in zip(OPS, traces, strict=True):
        if op.dataflow is Dataflow.OS:
            starts = [s["cycle"] for s in trace.slots if s["fill"] or s["last"]]
            drain = (TINY.rows + op.resume) * op.interleave
            assert all(b - a >= drain for a, b in pairwise(starts))


def test_without_stalls_slots_are_a_period_apart_unless_sums_or_weights_must_move():
    for op, trace in zip(OPS, traces_of_ops(0.0), strict=True):
        slots = [slot for slot in trace.slots if not slot["fill"]]
        for slot, following in pairwise(slots):
            waits = following["load_b" if op.dataflow is Dataflow.WS else "last"]
            apart = following["cycle"] - slot["cycle"]
            assert apart == op.period(TINY) or (waits and apart > op.period(TINY))


def test_columns_are_asked_for_every_weight_before_its_use(traces):
    for op, trace in zip(OPS, traces, strict=True):
        rows = TINY.rows if op.dataflow is Dataflow.WS else 1
        loads = [slot["cycle"] for slot in trace.of("load_b")]
        expected = [
            start + row * op.period(TINY) + word + 1
            for start in loads
            for row in range(rows)
            for word in range(op.load_b)
        ]
        assert trace.b_ready == expected


def test_an_operation_ends_when_its_sums_have_crossed_the_array(traces):
    for trace in traces:
        assert trace.idle - trace.done == TINY.cols + 4


def test_a_conductor_that_does_not_wait_is_caught(monkeypatch):
    monkeypatch.setattr(Conductor, "_drained", lambda self, m, begin: Const(1))
    traces = conduct(TINY, *OPS)
    with pytest.raises(AssertionError):
        test_a_tile_ends_when_the_sums_of_the_one_before_have_left(traces)
