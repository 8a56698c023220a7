"""A row head alone: its orders to the cells against plain loops, and the sums it passes on."""

import functools
import random
from dataclasses import dataclass, field, replace

import pytest
from amaranth.lib.data import Const

from blocks import op_fields, simulate
from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import preset
from sparsat.hw.row_head import LAG, READ, RESULT, RowHead

TINY = preset("tiny")
UNPACK = 2  # cycles from `a_ready` to the value at the cell
OP = ArrayOp(dataflow=Dataflow.OS, n=2, m=8, ir=4, is_=3, groups=2, tiles=2)
OPS = {
    "sparse": OP,
    "few": replace(OP, n=3, ir=1, is_=2),
    "dense": replace(OP, n=4, m=4, ir=3, is_=2),
    "a_mn": replace(OP, n=4, m=4, ir=3, is_=2, a_order=Order.MN),
    "b_mn": replace(OP, n=4, m=4, ir=2, is_=5, b_order=Order.MN),
    "both": replace(OP, n=8, m=8, ir=4, is_=4, a_order=Order.MN, b_order=Order.MN),
}
VARIANTS = [
    pytest.param(replace(op, dataflow=flow, resume=resume), id=f"{name}-{flow.name}-{resume}")
    for name, op in OPS.items()
    for flow in Dataflow
    for resume in (False, True)
]


@dataclass
class Trace:
    """Cycles and values of what a head said, and when each slot arrived."""

    arrivals: list[int] = field(default_factory=list)
    orders: list[Const] = field(default_factory=list)  # of control_layout, one for each cycle
    handed: list[int] = field(default_factory=list)
    a_ready: list[int] = field(default_factory=list)
    c_ready: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    sent: list[tuple[int, int, int]] = field(default_factory=list)  # cycle, address, leaves

    def cycles_of(self, order: str) -> list[int]:
        return [cycle for cycle, orders in enumerate(self.orders) if getattr(orders, order)]


def slots_of(op: ArrayOp) -> list[dict[str, int]]:
    """The slots of an operation as a conductor gives them, less the passes of initial sums."""
    ws, slots = op.dataflow is Dataflow.WS, [{"load_a": 1, "load_b": 1, "a_sel": 1, "b_sel": 1}]
    for number in range(op.tiles * op.groups):
        tile, group = divmod(number, op.groups)
        last, end = group == op.groups - 1, number == op.tiles * op.groups - 1
        slots.append(
            {
                "load_a": not end,
                "load_b": (last or not ws) and not end,
                "compute": 1,
                "first": ws or group == 0,
                "last": ws or last,
                "end": end,
                "a_sel": number % 2,
                "b_sel": (tile if ws else number) % 2,
                "half": 0 if ws else tile % 2,
            }
        )
    return slots


@functools.cache
def lead_whole(op: ArrayOp) -> Trace:
    return lead(op, slots_of(op))


def lead(op: ArrayOp, slots: list[dict[str, int]], *, top: bool = False, seed: int = 1) -> Trace:
    """Give a head slots, at random distances but no nearer than it may get them."""
    dut, rng, trace = RowHead(config=TINY, top=top), random.Random(seed), Trace()
    drain = (TINY.rows + op.resume) * op.interleave

    async def testbench(ctx):
        ctx.set(dut.op, op_fields(TINY, op))
        gap = 0
        for slot in [*slots, {}]:
            for _ in range(gap):
                await cycle(ctx)
            if slot:
                ctx.set(dut.slot, {name: int(value) for name, value in slot.items()})
                ctx.set(dut.slot_valid, 1)
                trace.arrivals.append(len(trace.orders))
                await cycle(ctx)
                ctx.set(dut.slot_valid, 0)
            gap = max(op.period(TINY), drain) - 1 + rng.choice([0, 0, 0, rng.randrange(9)])
        for _ in range(op.period(TINY) + 2 * drain + 20):
            await cycle(ctx)

    async def cycle(ctx):
        now = len(trace.orders)
        trace.orders.append(ctx.get(dut.ctl))
        for name in ("a_ready", "c_ready", "done"):
            if ctx.get(getattr(dut, name)):
                getattr(trace, name).append(now)
        if ctx.get(dut.slot_out_valid):
            trace.handed.append(now)
        if ctx.get(dut.south.valid):
            trace.sent.append((now, ctx.get(dut.south.addr), ctx.get(dut.south.out)))
        await ctx.tick()

    simulate(dut, testbench)
    return trace


def steps(op: ArrayOp, trace: Trace):
    """Each multiplication: (cycle in which it is issued, slot, n, ir, is_, j)."""
    for slot, arrival in zip(slots_of(op), trace.arrivals, strict=True):
        for n in range(op.n):
            for j in range(op.interleave):
                yield arrival + LAG + 1 + n * op.pace + j, slot, n, *divmod(j, op.is_), j


@pytest.mark.parametrize("op", VARIANTS)
def test_orders_follow_the_loops_over_n_ir_and_is(op):
    trace = lead_whole(op)
    writes = set()
    for cycle, slot, n, ir, is_, j in steps(op, trace):
        if not slot.get("compute"):
            continue
        in_b = n * op.is_ + is_ if op.b_order is Order.MN else is_ * op.n + n
        in_a = n * op.ir + ir if op.a_order is Order.MN else ir * op.m + n * op.dense
        starts = slot["first"] and n == 0
        read = trace.orders[cycle + READ]
        assert trace.orders[cycle].b_raddr == slot["b_sel"] * TINY.b_regs + in_b
        assert trace.orders[cycle + 1].a_base == slot["a_sel"] * TINY.a_regs + in_a
        from_x = starts and (op.resume or op.dataflow is Dataflow.WS)
        assert (read.from_x, read.fresh, read.w_raddr) == (from_x, starts and not from_x, j)
        assert not from_x or read.x_raddr == slot["half"] * TINY.depth + j
        writes.add((cycle + RESULT, j))
    assert {(c, trace.orders[c].w_waddr) for c in trace.cycles_of("w_we")} == writes


@pytest.mark.parametrize("op", VARIANTS)
def test_every_word_is_stored_where_the_next_slot_reads(op):
    trace = lead_whole(op)
    for link, count, half in (
        ("a", op.load_a(TINY), TINY.a_regs // TINY.a_link),
        ("b", op.load_b, TINY.b_regs),
    ):
        expected = [
            (arrival + 1 + UNPACK + word, (1 - slot[f"{link}_sel"]) * half + word)
            for slot, arrival in zip(slots_of(op), trace.arrivals, strict=True)
            if slot[f"load_{link}"]
            for word in range(count)
        ]
        stored = trace.cycles_of(f"{link}_we")
        assert [
            (cycle, getattr(trace.orders[cycle], f"{link}_waddr")) for cycle in stored
        ] == expected
        if link == "a":
            assert trace.a_ready == [cycle - UNPACK for cycle, _ in expected]


@pytest.mark.parametrize("op", VARIANTS)
def test_the_next_row_gets_the_slot_when_it_may_start(op):
    trace = lead_whole(op)
    hop = 1 if op.dataflow is Dataflow.OS else op.period(TINY) + 1
    assert trace.handed == [arrival + hop for arrival in trace.arrivals]


@pytest.mark.parametrize("op", VARIANTS)
def test_final_sums_leave_then_those_of_the_rows_above(op):
    trace = lead_whole(op)
    own: list[tuple[int, int]] = []
    passed: list[tuple[int, int]] = []
    ends = [
        (cycle + RESULT, slot["half"] * TINY.depth + j)
        for cycle, slot, n, _, _, j in steps(op, trace)
        if slot.get("last") and n == op.n - 1
    ]
    for cycle, address, leaves in trace.sent:
        assert leaves
        (passed if trace.orders[cycle].south_x else own).append((cycle, address))
    assert own == ends
    if op.dataflow is Dataflow.WS:
        assert not passed
        assert trace.done == [ends[-1][0]]
        return
    above = (TINY.rows - 1) * op.interleave
    per_tile = [passed[tile * above : (tile + 1) * above] for tile in range(op.tiles)]
    assert len(passed) == above * op.tiles
    for tile, sums in enumerate(per_tile):
        assert [address for _, address in sums] == [
            tile % 2 * TINY.depth + number % op.interleave for number in range(above)
        ]
        assert sums[0][0] > ends[(tile + 1) * op.interleave - 1][0]
        assert not any(trace.orders[cycle].from_x for cycle, _ in sums)
    assert trace.done == [passed[-1][0]]


@pytest.mark.parametrize("resume", [False, True])
def test_sums_from_the_north_are_kept_one_cycle_later(resume):
    dut, rng, seen = RowHead(config=TINY, top=False), random.Random(2), []

    async def testbench(ctx):
        ctx.set(dut.op, op_fields(TINY, replace(OP, resume=resume)))
        for _ in range(40):
            north = {"valid": rng.randrange(2), "addr": rng.randrange(32), "out": 0}
            ctx.set(dut.north, north)
            await ctx.tick()
            kept = ctx.get(dut.ctl.x_we), ctx.get(dut.ctl.x_waddr)
            assert kept == (north["valid"], north["addr"])
            seen.append(kept)

    simulate(dut, testbench)
    assert len(seen) == 40


@pytest.mark.parametrize("fill", [0, 1])
def test_row_0_takes_initial_sums_as_others_leave(fill):
    """A pass of rows · ir · is_ sums, asked for where `take` is set."""
    op = replace(OP, resume=True)
    slot = {"fill": fill, "compute": 1 - fill, "last": 1 - fill, "take": 1, "half": 1}
    trace = lead(op, [slot], top=True)
    assert len(trace.c_ready) == TINY.rows * op.interleave
    assert trace.c_ready == trace.cycles_of("x_we") == [cycle for cycle, _, _ in trace.sent]
    assert {leaves for _, _, leaves in trace.sent} == {1 - fill}
    addresses = [trace.orders[cycle].x_waddr for cycle in trace.c_ready]
    assert addresses == [TINY.depth + number % op.interleave for number in range(len(addresses))]


def test_a_pass_without_take_asks_for_nothing():
    trace = lead(replace(OP, resume=True), [{"fill": 1}], top=True)
    assert not trace.c_ready
    assert len(trace.sent) == TINY.rows * OP.interleave


def test_row_0_takes_each_slots_initial_sums_one_slot_ahead():
    op = replace(OP, dataflow=Dataflow.WS, resume=True)
    slots = [{**slot, "take": not slot.get("end")} for slot in slots_of(op)]
    trace = lead(op, slots, top=True)
    expected = [
        cycle + READ
        for cycle, slot, n, _, _, _ in steps(op, trace)
        if n == 0 and not slot.get("end")
    ]
    assert trace.c_ready == expected
