"""The functional machine: what a program does to the bytes of memory, without time."""

from .engines import Flags, run
from .state import MachineError

__all__ = ["Flags", "MachineError", "run"]
