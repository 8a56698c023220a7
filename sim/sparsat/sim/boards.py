"""What a step is simulated on: a machine, its memory and the size of that."""

from dataclasses import dataclass, replace

from sparsat.hw.config import SATConfig, preset
from sparsat.sim.memory import MEMORIES


@dataclass(frozen=True)
class Board:
    """`memory` is one of `memory.MEMORIES`, `capacity` its bytes."""

    name: str
    config: SATConfig
    memory: str
    capacity: int

    def with_(self, config: str | None, memory: str | None) -> "Board":
        """The board with another preset or memory, where one is named. ValueError if unknown."""
        if memory is not None and memory not in MEMORIES:
            raise ValueError(f"unknown memory {memory!r}: known are {', '.join(MEMORIES)}")
        chosen = preset(config) if config else self.config
        return replace(self, config=chosen, memory=memory or self.memory)


BOARDS = {
    board.name: board for board in (Board("vcu1525", preset("vcu1525"), "ddr4", 4 * 16 * 2**30),)
}
"""VCU1525: four DDR4-2400 DIMMs of 16 GB (Xilinx UG1268)."""


def board(name: str) -> Board:
    """The named board. Raises ValueError that lists the boards."""
    if name not in BOARDS:
        raise ValueError(f"unknown board {name!r}: known are {', '.join(BOARDS)}")
    return BOARDS[name]
