"""A run as a trace that Perfetto (ui.perfetto.dev) and Chrome open: engines are threads,
instructions are slices named after their operation.

One microsecond of the trace is one of the machine. Slices are written one by one.
"""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from sparsat.sim.engines.decoded import ENGINE, Engine
from sparsat.sim.simulate import Timed


def write_trace(timed: Timed, file: TextIO) -> None:
    """All of the trace, as JSON."""
    file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
    for number, event in enumerate(_events(timed)):
        file.write(",\n" if number else "")
        json.dump(event, file, separators=(",", ":"))
    file.write("\n]}\n")


def _events(timed: Timed) -> Iterator[dict[str, Any]]:
    for engine in Engine:
        common = {"ph": "M", "pid": 0, "tid": int(engine)}
        yield common | {"name": "thread_name", "args": {"name": engine.name}}
        yield common | {"name": "thread_sort_index", "args": {"sort_index": int(engine)}}
    plans, rows = timed.plans, timed.timing.instructions
    microseconds = 1e6 / timed.config.clock_hz
    for number, each in enumerate(timed.scheduled.program[:-1]):
        row, op = rows[number], plans[each.op].op
        start, end = int(row["start"]), int(row["end"])
        yield {
            "ph": "X",
            "pid": 0,
            "tid": int(ENGINE[each.OPCODE]),
            "name": op.name,
            "cat": op.stage,
            "ts": start * microseconds,
            "dur": (end - start) * microseconds,
            "args": {"cycles": end - start, "lines": int(row["read"] + row["written"])},
        }
