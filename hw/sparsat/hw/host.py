"""The host's side of the registers, whatever leads to them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sparsat.hw.config import SATConfig
from sparsat.hw.register_map import Control, Interrupt, State, register_map

ALL = Interrupt.END | Interrupt.VECTOR


class Host(ABC):
    """Reads and writes registers of an accelerator of `config` by their names."""

    def __init__(self, config: SATConfig) -> None:
        self.config, self.registers = config, register_map(config)

    @abstractmethod
    def get_word(self, offset: int) -> int:
        """The 32 bits at a byte offset."""

    @abstractmethod
    def set_word(self, offset: int, value: int) -> None: ...

    def read(self, name: str) -> int:
        """The value of a register."""
        words = self.registers[name].words()
        return sum(self.get_word(offset) << low for offset, low in words)

    def write(self, name: str, value: int) -> None:
        for offset, low in self.registers[name].words():
            self.set_word(offset, value >> low & 0xFFFFFFFF)

    def state(self) -> State:
        return State(self.read("STATUS") & 7)

    def start(
        self, program: int, instructions: int, memory_bytes: int, bases: Sequence[int]
    ) -> None:
        """Start the program at byte `program` of memory, which begins at `bases` behind the ports;
        both interrupts are enabled."""
        self.write("PROGRAM", program)
        self.write("INSTRUCTIONS", instructions)
        self.write("MEMORY_BYTES", memory_bytes)
        for port, base in enumerate(bases):
            self.write(f"MEMORY_BASE_{port}", base)
        self.write("INTERRUPT_PENDING", ALL)
        self.write("INTERRUPT_ENABLE", ALL)
        self.write("CONTROL", Control.START)

    def pending(self) -> Interrupt:
        """The interrupts that are pending, which are so no longer."""
        found = Interrupt(self.read("INTERRUPT_PENDING"))
        if found:
            self.write("INTERRUPT_PENDING", found)
        return found

    def stalls(self) -> dict[str, int]:
        """Cycles that each engine lacked semaphores."""
        prefix = "STALL_"
        names = (name for name in self.registers if name.startswith(prefix))
        return {name.removeprefix(prefix): self.read(name) for name in names}
