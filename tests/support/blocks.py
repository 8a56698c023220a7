"""What the tests of single blocks share: a clocked run, and an operation's constants."""

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.sim import Simulator

from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig

Testbench = Callable[[Any], Awaitable[None]]


def simulate(dut, *testbenches: Testbench) -> None:
    """Run testbenches side by side on a clocked component until all are done."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.run()


def op_fields(config: SATConfig, op: ArrayOp) -> dict[str, int]:
    """What `op_layout` holds of an operation, written from its documentation."""
    mn_a, mn_b = op.a_order is Order.MN, op.b_order is Order.MN
    a_step_n = (op.ir if mn_a else 1) if op.dense else 0
    return {
        "ws": op.dataflow is Dataflow.WS,
        "resume": op.resume,
        "n": op.n - 1,
        "is_": op.is_ - 1,
        "last_j": op.interleave - 1,
        "gap": op.pace - op.interleave,
        "load_a": op.load_a(config) - 1,
        "load_b": op.load_b - 1,
        "period": op.period(config),
        "a_step_ir": 1 if mn_a else op.m,
        "a_step_n": a_step_n,
        "b_step_is": 1 if mn_b else op.n,
        "b_step_n": op.is_ if mn_b else 1,
        "pops": (config.rows - 1) * op.interleave,
    }
