"""Which instruction writes a byte of memory, and what it is to that instruction."""

from collections.abc import Sequence

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.image import OnVector
from sparsat.hw.isa.instructions import Instruction, Store, Update
from sparsat.sim.functional import run

TENSORS = {
    "new_master": np.float32,
    "new_momentum": np.float32,
    "forward": np.float16,
    "forward_index": np.uint8,
    "backward": np.float16,
    "backward_index": np.uint8,
}
"""What UPDATE writes, by its fields, and the type of an element; of indices a byte, which holds
several."""


def element_of(
    config: SATConfig,
    program: Sequence[Instruction],
    memory: np.ndarray,
    on_vector: OnVector,
    at: int,
) -> tuple[str, np.dtype, int]:
    """Instruction, tensor and element behind byte `at`, in words; the element's type and address.

    Parameters
    ----------
    memory : uint8 [bytes]
        Before the program.
    on_vector
        What the host does.
    """
    after, writers = memory.copy(), []
    last = after[at]

    def ended(number: int) -> None:
        nonlocal last
        if after[at] != last:
            last = after[at]
            writers.append(number)

    run(config, list(program), after, on_vector, empty=0, ended=ended)
    if not writers:
        return "no instruction changes it", np.dtype(np.uint8), at
    number = writers[-1]
    name, base, dtype = _tensor(program[number], at)
    kind, size = program[number].OPCODE.name, dtype.itemsize
    where = f"instruction {number}, {kind} {name}, element {(at - base) // size}"
    return where, dtype, at - at % size


def _tensor(writer: Instruction, at: int) -> tuple[str, int, np.dtype]:
    """Of what an instruction writes: the field that says where it begins, that, an element's
    type."""
    if isinstance(writer, Store):
        return "address", writer.address, np.dtype(np.float32 if writer.wide else np.float16)
    if isinstance(writer, Update):
        bases = {name: getattr(writer, name) for name in TENSORS}
        name = max((each for each in bases if bases[each] <= at), key=bases.__getitem__)
        return name, bases[name], np.dtype(TENSORS[name])
    return "memory", 0, np.dtype(np.uint8)
