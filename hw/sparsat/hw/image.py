"""The image of memory: a program behind data, and each port's part of every line."""

from collections.abc import Callable, Sequence

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Instruction
from sparsat.hw.timing import BURST

OnVector = Callable[[int, np.ndarray], None]
"""What the host does for a VECTOR: its `op`, and memory to change in place."""


def with_room(
    config: SATConfig, memory: np.ndarray, program: Sequence[Instruction]
) -> tuple[np.ndarray, int]:
    """Memory with room for the program behind it, and the line at which that begins."""
    line = config.line_bytes
    base = -(-len(memory) // (BURST * line)) * BURST
    lines = base + -(-len(program) * INSTRUCTION_BYTES // (BURST * line)) * BURST
    image = np.zeros(lines * line, np.uint8)
    image[: len(memory)] = memory
    return image, base


def split(config: SATConfig, image: np.ndarray) -> list[bytes]:
    """What lies behind each port of `image`, uint8 [whole lines]."""
    beats = image.reshape(-1, config.channels, config.axi_bits // 8)
    return [beats[:, port].tobytes() for port in range(config.channels)]


def join(config: SATConfig, parts: Sequence[bytes]) -> np.ndarray:
    """The image, uint8 [bytes], of which `parts` lie behind the ports."""
    beats = [np.frombuffer(part, np.uint8).reshape(-1, config.axi_bits // 8) for part in parts]
    return np.stack(beats, axis=1).reshape(-1)
