"""The machine cycle after cycle in plain Python, written from docs/architecture.md: slow.

Engines are generators that are resumed once in every cycle and count cycles by yielding. Of
`sparsat.hw.timing` only `START` and `array_tail` are used.
"""

from slow_array import Execution
from slow_core import Machine, Seen
from slow_streams import Storing, load, update, vector
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Instruction


def run_slowly(
    config: SATConfig,
    program: list[Instruction],
    memory: str,
    most_cycles: int = 200_000,
    host_cycles: int | None = None,
) -> list[Seen]:
    """What is seen of every instruction."""
    m = Machine(config, program, memory, host_cycles)
    execution, storing = Execution(m), Storing(m)
    engines = [
        m.fetch(),
        load(m, "LOAD_A"),
        load(m, "LOAD_B"),
        execution.array(),
        execution.feeder(),
        storing.writer(),
        storing.reader(),
        update(m),
        vector(m),
    ]
    while m.finished < len(program) - 1 or m.seen[-1].start < 0:
        m.deliver()
        for engine in engines:
            next(engine)
        m.dispatch()
        m.arbitrate()
        m.now += 1
        if m.now > most_cycles:
            raise RuntimeError("too slow, or a deadlock")
    m.seen[-1].end = max(m.seen[-1].start, *(each.end for each in m.seen))
    return m.seen
