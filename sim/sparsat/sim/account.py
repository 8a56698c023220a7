"""Whose cycles a step's cycles are.

Products and vector operations run one after another; an operation's cycles are those from the end
of the one before it to its own end: they add up to the step's. It ends when its results are
in memory; where the next product waits for none of them, when the array is done with it. Updates
run beside all that: to them belongs only what is left when everything else is done.
"""

from dataclasses import dataclass

import numpy as np

from sparsat.dataflow.ir import Update, Vector
from sparsat.dataflow.schedule import Planned
from sparsat.hw.isa.instructions import Exec, Instruction
from sparsat.sim.engines.decoded import ENGINE, Engine
from sparsat.sim.machine import Timing

SPENT = ("busy", "a", "b", "c", "instruction", "fill")
"""Where the array's cycles went, see `Timing`."""


@dataclass(frozen=True)
class Accounts:
    """Arrays over operations: their `cycles`, memory `lines`, and for each of `SPENT` the array's.

    `lost_to_drain` are cycles in which tiles waited for the sums of the one before.
    """

    cycles: np.ndarray
    lines: np.ndarray
    spent: dict[str, np.ndarray]
    lost_to_drain: np.ndarray

    def parts(self, index: int) -> dict[str, int]:
        """What the cycles of a product are made of; they add up.

        `compute`: slots of the array; `drain`: tiles that end only when the sums of the one before
        have left; `fill`: the array fills and empties; `memory`: the rest, in which it waits for
        operands to come or for results to leave.
        """
        left = int(self.cycles[index])
        drain = int(self.lost_to_drain[index])
        wanted = {
            "compute": int(self.spent["busy"][index]),
            "drain": drain,
            "fill": int(self.spent["fill"][index]) - drain,
        }
        parts = {}
        for name, cycles in wanted.items():
            parts[name] = min(max(cycles, 0), left)
            left -= parts[name]
        return parts | {"memory": left}


def account(
    program: list[Instruction], plans: list[Planned], timing: Timing, slots_lost: np.ndarray
) -> Accounts:
    """Cycles of all operations; `slots_lost` is `Accounts.lost_to_drain`."""
    op = np.array([each.op for each in program])[:-1]
    rows = timing.instructions[:-1]
    count = len(plans)
    spent = {name: _sums(op, rows[name], count) for name in SPENT}
    return Accounts(
        cycles=_cycles(program, plans, timing, op, rows),
        lines=_sums(op, rows["read"] + rows["written"], count),
        spent=spent,
        lost_to_drain=slots_lost,
    )


def _cycles(
    program: list[Instruction],
    plans: list[Planned],
    timing: Timing,
    op: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray:
    on_array = np.array([isinstance(each, Exec) for each in program])[:-1]
    all_done, array_done = (np.zeros(len(plans), np.int64) for _ in range(2))
    np.maximum.at(all_done, op, rows["end"])
    np.maximum.at(array_done, op[on_array], rows["end"][on_array])
    chain = [i for i, planned in enumerate(plans) if not isinstance(planned.op.work, Update)]
    aside = [i for i, planned in enumerate(plans) if isinstance(planned.op.work, Update)]
    ends = []
    for number, index in enumerate(chain):
        follower = plans[chain[number + 1]] if number + 1 < len(chain) else None
        joined = follower is not None and follower.plan is not None and not follower.waits
        by_array = joined and not isinstance(plans[index].op.work, Vector)
        ends.append(array_done[index] if by_array else all_done[index])
    order = chain + aside
    last = np.maximum.accumulate(np.array([*ends, *all_done[aside]], np.int64))
    cycles = np.zeros(len(plans), np.int64)
    cycles[order] = np.diff(last, prepend=0)
    if order:
        cycles[order[-1]] += timing.cycles - last[-1]
    return cycles


def timeline(program: list[Instruction], timing: Timing) -> list[dict[str, int | str]]:
    """When each engine was at work on each operation, from its first start to its last end."""
    spans: dict[tuple[int, Engine], list[int]] = {}
    starts, ends = timing.instructions["start"], timing.instructions["end"]
    for number, each in enumerate(program[:-1]):
        span = spans.setdefault((each.op, ENGINE[each.OPCODE]), [int(starts[number]), 0])
        span[1] = int(ends[number])
    return [
        {"engine": engine.name, "op": op, "start": start, "end": end}
        for (op, engine), (start, end) in spans.items()
    ]


def _sums(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, index, values)
    return sums
