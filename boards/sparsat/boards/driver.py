"""The host's side of a card: programs, memory, VECTOR, errors.

accelerator = Accelerator(config, open_transport("xdma0", config))
found = accelerator.run(program, memory, on_vector)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparsat.boards.transports import Transport
from sparsat.hw.config import SATConfig
from sparsat.hw.host import Host
from sparsat.hw.image import OnVector, join, split, with_room
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import Instruction
from sparsat.hw.register_map import (
    ID,
    VERSION,
    Control,
    Interrupt,
    State,
    Status,
    config_id,
)

BUSY = (State.RUNNING, State.WAITING, State.RESETTING)
"""States in which a start would be refused."""
RESET_PAUSES = 1000


class AcceleratorError(RuntimeError):
    """A program stopped with `error` at instruction number `instruction`."""

    def __init__(self, error: Error, instruction: int, kind: str) -> None:
        self.error, self.instruction = error, instruction
        super().__init__(
            f"the accelerator stopped with {error.name} at instruction {instruction}{kind}"
        )


@dataclass(frozen=True)
class Run:
    """What a program left in the registers: cycles, those that each engine lacked semaphores, and
    whether an UPDATE met a gradient that is not finite."""

    cycles: int
    stalls: dict[str, int]
    overflow: bool


class Accelerator(Host):
    """An accelerator of `config` that is reached by `transport`.

    RuntimeError, in one line, where there is none, or one of another configuration.
    """

    def __init__(self, config: SATConfig, transport: Transport) -> None:
        super().__init__(config)
        self.transport = transport
        for name, wanted in (("ID", ID), ("VERSION", VERSION), ("CONFIG", config_id(config))):
            if (found := self.read(name)) != wanted:
                raise RuntimeError(
                    f"no accelerator of config {config.name}: register {name} is {found:#x}, "
                    f"it must be {wanted:#x}"
                )

    def get_word(self, offset: int) -> int:
        return self.transport.read_register(offset)

    def set_word(self, offset: int, value: int) -> None:
        self.transport.write_register(offset, value)

    def reset(self) -> None:
        """Stop what runs, whoever started it. RuntimeError where memory does not answer."""
        self.write("CONTROL", Control.RESET)
        for _ in range(RESET_PAUSES):
            if self.state() not in BUSY:
                return
            self.transport.pause()
        raise RuntimeError(f"the accelerator is {self.state().name} long after a reset")

    def run(
        self,
        program: Sequence[Instruction],
        memory: np.ndarray,
        on_vector: OnVector | None = None,
        timeout: float = 60.0,
    ) -> Run:
        """Reset, then run a program on `memory`, uint8 [bytes]; afterwards that holds the results.

        For a VECTOR `on_vector` sees all of memory; the lines that it changed are written back, no
        others: engines go on meanwhile.

        Raises AcceleratorError; TimeoutError where the program has not ended after `timeout`
        seconds, and resets the accelerator then.
        """
        image, at = with_room(self.config, memory, program)
        code = np.frombuffer(encode_program(program), np.uint8)
        start = at * self.config.line_bytes
        image[start : start + len(code)] = code
        channels = self.config.channels
        bases = self.transport.bases(channels, len(image) // channels)
        self.reset()
        self._write_memory(image, 0)
        self.start(start, len(program), len(image), bases)
        own = image[: len(memory)]
        while not self._ended(timeout):
            self._vector(image, own, on_vector)
        if self.state() is State.ERROR:
            self._fail(program)
        memory[:] = self._read_memory(len(image))[: len(memory)]
        overflow = bool(self.read("STATUS") & Status.OVERFLOW)
        return Run(self.read("CYCLES"), self.stalls(), overflow)

    def _ended(self, timeout: float) -> bool:
        """Wait for an interrupt: whether it says that the program has ended."""
        last = self.transport.now() + timeout
        while not (pending := self.pending()):
            if self.transport.now() > last:
                state = self.state().name
                self.reset()
                raise TimeoutError(f"the accelerator is {state} after {timeout:g} s: it was reset")
            self.transport.pause()
        return bool(pending & Interrupt.END)

    def _vector(self, image: np.ndarray, own: np.ndarray, on_vector: OnVector | None) -> None:
        if on_vector is not None:
            image[:] = self._read_memory(len(image))
            before = image.copy()
            on_vector(self.read("VECTOR_OP"), own)
            line = self.config.line_bytes
            changed = (image != before).reshape(-1, line).any(axis=1)
            edges = np.flatnonzero(np.diff(changed, prepend=False, append=False))
            for first, last in edges.reshape(-1, 2) * line:
                self._write_memory(image[first:last], int(first))
        self.write("CONTROL", Control.ACKNOWLEDGE)

    def _fail(self, program: Sequence[Instruction]) -> None:
        number = self.read("ERROR_INSTRUCTION")
        kind = f", {program[number].OPCODE.name}" if number < len(program) else ""
        raise AcceleratorError(Error(self.read("ERROR")), number, kind)

    def _write_memory(self, lines: np.ndarray, address: int) -> None:
        for port, part in enumerate(split(self.config, lines)):
            self.transport.write_memory(port, address // self.config.channels, part)

    def _read_memory(self, size: int) -> np.ndarray:
        channels = self.config.channels
        ports = range(channels)
        return join(
            self.config,
            [self.transport.read_memory(port, 0, size // channels) for port in ports],
        )
