"""A run as a trace that Perfetto (ui.perfetto.dev) and Chrome open: engines are threads,
instructions are slices named after their operation.

One microsecond of the trace is one of the machine. An engine takes up an instruction while the
end of the one before it is still under way. Slices of a thread must not overlap, so there a slice
begins where the one before it ends, and ends a nanosecond early: some viewers add `ts` and `dur` in
floating point. Slices are written one by one.
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
    machine = {"name": "process_name", "args": {"name": timed.config.name}}
    yield {"ph": "M", "pid": 1, **machine}
    for engine in Engine:
        common = {"ph": "M", **_thread(engine)}
        yield common | {"name": "thread_name", "args": {"name": engine.name}}
        yield common | {"name": "thread_sort_index", "args": {"sort_index": int(engine)}}
    plans, rows = timed.plans, timed.timing.instructions
    nanoseconds = 1e9 / timed.config.clock_hz
    free = dict.fromkeys(Engine, 0)
    for number, each in enumerate(timed.scheduled.program[:-1]):
        row, op, engine = rows[number], plans[each.op].op, ENGINE[each.OPCODE]
        start, end = int(row["start"]), int(row["end"])
        begin, free[engine] = (
            max(round(start * nanoseconds), free[engine]),
            round(end * nanoseconds),
        )
        yield {
            "ph": "X",
            **_thread(engine),
            "name": op.name,
            "cat": op.stage,
            "ts": begin / 1000,
            "dur": max(free[engine] - begin - 1, 0) / 1000,
            "args": {
                "start": start,
                "cycles": end - start,
                "lines": int(row["read"] + row["written"]),
            },
        }


def _thread(engine: Engine) -> dict[str, int]:
    """Numbers from 1 on: viewers keep thread 0 of process 0 for an idle processor."""
    return {"pid": 1, "tid": int(engine) + 1}
