"""Run each operation of a program on random operands and compare it with the golden model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.ir import Conv, MatMul, Update
from sparsat.dataflow.nests import Pair, Spread
from sparsat.dataflow.pair import PairPlan
from sparsat.dataflow.reduce import ReducePlan
from sparsat.dataflow.schedule import Planned, Scheduled
from sparsat.hw.config import SATConfig
from sparsat.hw.isa import instructions as isa
from sparsat.sim.functional import run as functional_run
from sparsat.sim.values import operands
from sparsat.sim.values.golden import conv_result, matmul_result
from sparsat.sim.values.memory import Memory
from sparsat.sim.values.updates import check_update

Run = Callable[[SATConfig, list[isa.Instruction], np.ndarray], object]
"""Runs a program on the bytes of memory."""


@dataclass(frozen=True)
class Mismatch:
    """An operation whose results differ: how many of how many elements, and the first of them."""

    op: str
    wrong: int
    elements: int
    first: tuple[int, ...]
    got: float
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.op}: {self.wrong} of {self.elements} elements differ, first at "
            f"{list(self.first)}: {self.got!r}, expected {self.expected!r}"
        )


def checked_operations(scheduled: Scheduled) -> int:
    """How many operations `check_step` goes through."""
    return sum(
        planned.plan is not None or isinstance(planned.op.work, Update)
        for planned in scheduled.plans
    )


def check_step(
    config: SATConfig, scheduled: Scheduled, seed: int = 0, run: Run = functional_run
) -> Iterator[Mismatch | None]:
    """For each GEMM and weight update in turn: None, or how it differs from the golden model.

    Every operation gets operands of its own, drawn from `seed`; its instructions run on the memory
    image as the program has them, but for the waits for other operations. `run` is the machine.
    """
    memory = Memory(scheduled.memory_bytes)
    by_op = operations(scheduled.program)
    for number, planned in enumerate(scheduled.plans):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        program = by_op[number]
        if planned.plan is not None:
            got, expected = _gemm(config, planned, program, memory, generator, run)
        elif isinstance(planned.op.work, Update):
            got, expected = check_update(config, program, memory, generator, run)
        else:
            continue
        yield _compare(planned.op.name, got, expected)


def operations(program: list[isa.Instruction]) -> dict[int, list[isa.Instruction]]:
    """The instructions of each operation, to run alone: without waits for others, and HALT."""
    found: dict[int, list[isa.Instruction]] = {}
    for each in program:
        if not isinstance(each, isa.Halt):
            found.setdefault(each.op, []).append(replace(each, wait=0, signal=0))
    return found


def _compare(name: str, got: Tensor, expected: Tensor) -> Mismatch | None:
    """By bits, but that every NaN is one."""
    same = (got == expected) | (got.isnan() & expected.isnan())
    if same.all():
        return None
    wrong = torch.nonzero(~same)
    first = tuple(int(i) for i in wrong[0])
    return Mismatch(
        name, len(wrong), same.numel(), first, float(got[first]), float(expected[first])
    )


def _gemm(
    config: SATConfig,
    planned: Planned,
    program: list[isa.Instruction],
    memory: Memory,
    generator: torch.Generator,
    run: Run,
) -> tuple[Tensor, Tensor]:
    """What the program leaves in memory, and what the golden model says."""
    plan, work, at = planned.plan, planned.op.work, planned.at
    assert plan is not None
    nest = plan.nest
    if isinstance(work, MatMul):
        assert isinstance(nest, Pair)
        a = operands.draw(generator, work.batch, work.p, work.k)
        b = operands.draw(generator, work.batch, work.k, work.q)
        left, right = operands.product_operands(nest, a, b)
        memory.put(at.a, left.numpy())
        memory.put(at.b, right.numpy())
        run(config, [*program, isa.Halt()], memory.bytes)
        return operands.get_product(memory, at, nest), matmul_result(work, a, b)
    assert isinstance(work, Conv)
    work, stage = operands.plain(work, planned.op.stage)
    x = operands.draw(generator, work.n, work.ci, work.h, work.w)
    dy = operands.draw(generator, work.n, work.co, work.oh, work.ow)
    if isinstance(plan, ReducePlan):
        nest = plan.nest
        memory.put(at.a, operands.image(nest.data, work, x, patches=True).numpy())
        memory.put(at.b, operands.image(nest.gradient, work, dy).numpy())
        run(config, [*program, isa.Halt()], memory.bytes)
        got = operands.get_gradient(config, memory, at, work, nest)
        return got, conv_result(work, stage, dy, x)
    assert isinstance(nest, Spread)
    assert not isinstance(plan, PairPlan)
    weight = operands.draw(generator, work.co, work.ci // work.groups, work.kh, work.kw)
    pattern = NMPattern(*planned.pattern) if planned.pattern else None
    source = x if stage == "FF" else dy
    memory.put(at.a, operands.image(nest.a, work, source, patches=stage == "FF").numpy())
    in_memory = None if plan.prune else pattern
    operands.put_weight(config, memory, at, work, nest, weight, in_memory, forward=stage == "FF")
    if pattern:
        weight = weight * pattern.mask(weight, dim=1 if stage == "FF" else 0)
    run(config, [*program, isa.Halt()], memory.bytes)
    expected = conv_result(work, stage, source, weight)
    return operands.get_image(memory, at, nest, work, stage, expected), expected_of(
        nest, work, stage, expected
    )


def expected_of(nest: Spread, work: Conv, stage: str, expected: Tensor) -> Tensor:
    """The part of a result that is stored: where only one phase of a stride has taps, that one."""
    if stage == "FF" or (nest.out.height, nest.out.width) == (work.h, work.w):
        return expected
    if nest.out.height * nest.out.width == work.h * work.w * work.n // nest.out.images:
        return expected
    y, x = (
        next(i for i in range(s) if any((i + p - t * d) % s == 0 for t in range(k)))
        for s, p, d, k in zip(
            work.stride, work.padding, work.dilation, (work.kh, work.kw), strict=True
        )
    )
    return expected[:, :, y :: work.stride[0], x :: work.stride[1]]
