"""The one sentence that says where to look first."""

from sparsat.sim.report.runs import Op, Run
from sparsat.sim.report.text import percent

NAMED = 3


def advice(run: Run, peaks: dict[str, int]) -> str:
    """Plain text: where the array idles most, vector operations counted as one."""
    lost = sorted(_lost(run.ops, peaks), key=lambda entry: -entry[0])
    idle = sum(cycles for cycles, _, _ in lost)
    if not idle:
        return "The array is never idle." if run.ops else "The step has no operations."
    shares = [percent(cycles / idle) for cycles, _, _ in lost[:NAMED]]
    shares[0] += " of that"
    first = [
        f"{name} ({share}{why})" for share, (_, name, why) in zip(shares, lost[:NAMED], strict=True)
    ]
    return (
        f"The array’s cells are idle for {percent(idle / run.totals['cycles'])} of the step: "
        f"look first at {_listed(first)}."
    )


def idle_cycles(op: Op, peaks: dict[str, int]) -> int:
    """Cycles beyond those that the operation's products need with every cell at work."""
    return op["cycles"] - op["macs"] // peaks["macs_per_cycle"]


def _lost(ops: list[Op], peaks: dict[str, int]) -> list[tuple[int, str, str]]:
    """Idle cycles, who has them, and why where that is not in the name."""
    lost = [
        (idle_cycles(op, peaks), op["name"], f", bound by {op['bound']}")
        for op in ops
        if op["stage"] != "VECTOR"
    ]
    vector = [op for op in ops if op["stage"] == "VECTOR"]
    if vector:
        name = f"the {len(vector)} vector operations" if vector[1:] else vector[0]["name"]
        lost.append((sum(idle_cycles(op, peaks) for op in vector), name, ""))
    return lost


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
