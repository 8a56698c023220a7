"""What a report is made of, from a simulated step."""

from typing import Any

import numpy as np

from sparsat.dataflow.program import Engine
from sparsat.sim.simulate import Result, Timed

ENGINES = {
    Engine.LOAD: "LOAD_A",
    Engine.EXEC: "EXEC",
    Engine.STORE: "STORE",
    Engine.UPDATE: "UPDATE",
    Engine.VECTOR: "VECTOR",
}


def report_data(result: Result) -> dict[str, Any]:
    """Schema 1 with `dense_ops`, `timeline` and `peaks`."""
    config = result.sparse.config
    return result.to_dict() | {
        "dense_ops": result.dense.ops(),
        "timeline": {"sparse": timeline(result.sparse), "dense": timeline(result.dense)},
        "peaks": {"macs_per_cycle": config.cells, "bytes_per_cycle": config.line_bytes},
    }


def timeline(timed: Timed) -> list[dict[str, Any]]:
    """When each engine was at work on each operation, from its first start to its last end."""
    columns = timed.scheduled.program.arrays()
    pairs = np.stack([columns["op"], columns["engine"]], axis=1)
    spans, which = np.unique(pairs, axis=0, return_inverse=True)
    start = np.full(len(spans), np.iinfo(np.int64).max)
    end = np.zeros(len(spans), np.int64)
    np.minimum.at(start, which, timed.times.start)
    np.maximum.at(end, which, timed.times.end)
    return [
        {"engine": ENGINES[Engine(engine)], "op": int(op), "start": int(a), "end": int(b)}
        for (op, engine), a, b in zip(spans, start, end, strict=True)
    ]
