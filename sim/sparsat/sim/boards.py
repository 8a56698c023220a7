"""Boards a step can be simulated on: their machine, memory and its size."""

from dataclasses import dataclass

from sparsat.hw.config import SATConfig, preset


@dataclass(frozen=True)
class Board:
    """`memory` is one of `memory.MEMORIES`, `capacity` its bytes."""

    name: str
    config: SATConfig
    memory: str
    capacity: int


BOARDS = {
    board.name: board
    for board in (Board("vcu1525", preset("vcu1525"), "ddr4", 4 * 16 * 2**30),)
}
"""VCU1525: four DDR4-2400 DIMMs of 16 GB (Xilinx UG1268)."""


def board(name: str) -> Board:
    """The named board. Raises ValueError that lists the boards."""
    if name not in BOARDS:
        raise ValueError(f"unknown board {name!r}: known are {', '.join(BOARDS)}")
    return BOARDS[name]
