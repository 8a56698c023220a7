"""What memory does to vector operations and updates, measured by the timed machine on one
instruction of each kind."""

from dataclasses import dataclass
from itertools import accumulate

from sparsat.dataflow.addresses import COPIES
from sparsat.dataflow.layout import SINGLE
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa import instructions as isa
from sparsat.sim.explore.summary import Summary
from sparsat.sim.machine import run
from sparsat.sim.memory import LATENCY

SAMPLE_LINES = 4096
SAMPLE_BLOCKS = 64
"""The instructions by which memory is measured."""
TENSORS = ("master", "momentum", "gradient", *COPIES)
"""Addresses of an update."""


@dataclass(frozen=True)
class Rates:
    """Cycles per line of vector operations, read and written in turns (`mixed`) or not (`alone`);
    cycles and lines per element of updates."""

    mixed: float
    alone: float
    update: float
    update_lines: float


def memory_rates(config: SATConfig, memory: str, summary: Summary) -> Rates:
    """Measured by the timed machine; the update is some blocks of the largest weight, whose tensors
    lie one behind the other, and so maybe in the same banks."""
    n, m = summary.pattern or (4, 4)
    single = summary.largest * SINGLE
    values, index = single * n // (2 * m), single * n // (8 * m) * (n < m)
    sizes = (single, single, single, values, index, values)
    line = config.line_bytes
    starts = accumulate((-(-size // line) * line for size in sizes), initial=0)
    sample = isa.Update(
        copies=1,
        n=n,
        log_m=log_m_of(m),
        in_blocks=1,
        out_blocks=SAMPLE_BLOCKS,
        **dict(zip(TENSORS, starts, strict=True)),
    )
    lines = SAMPLE_LINES
    mixed = run(config, [isa.Vector(read=lines, write=lines), isa.Halt()], memory)
    alone = run(config, [isa.Vector(read=lines), isa.Halt()], memory)
    update = run(config, [sample, isa.Halt()], memory)
    elements = SAMPLE_BLOCKS * config.block**2
    moved = update.instructions["read"][0] + update.instructions["written"][0]
    return Rates(
        mixed.cycles / (2 * lines),
        alone.cycles / lines,
        (update.cycles - 2 * LATENCY) / elements,
        moved / elements,
    )
