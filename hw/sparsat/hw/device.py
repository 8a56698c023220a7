"""What a device has to give to the accelerator."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

KINDS = ("lut", "ff", "dsp", "bram18", "uram")
"""Resources, the columns of all arrays of amounts; `bram18` counts halves of block RAMs."""


@dataclass(frozen=True)
class Device:
    """A device by its dies (SLRs), from one edge to the other.

    Parameters
    ----------
    name : str
    left : tuple of tuple of int
        What the card's shell leaves of each die, by `KINDS`.
    """

    name: str
    left: tuple[tuple[int, ...], ...]

    @cached_property
    def dies(self) -> np.ndarray:
        """`left` as an array [dies, kinds]."""
        return np.array(self.left, float)

    @property
    def available(self) -> np.ndarray:
        """Of all dies together."""
        return self.dies.sum(axis=0)


VU9P = Device(
    "xcvu9p",
    left=(
        (354_690, 723_308, 2265, 2 * 638, 320),
        (159_739, 331_654, 1317, 2 * 326, 160),
        (354_839, 723_294, 2265, 2 * 638, 320),
    ),
)
"""Left by a shell with PCIe and four DDR4 controllers: UG1393 2023.1, "Resource Availability"; the
UltraRAM there is UG1702's of a later shell of this device."""

ZU48DR = Device("xczu48dr", left=((425_280, 850_560, 4272, 2 * 1080, 80),))
"""All of it: processor and memory controller are no logic (DS889)."""

DEVICES = {"vcu1525": VU9P, "u200": VU9P, "rfsoc4x2": ZU48DR}
"""By card, where it is known what the shell takes."""

LIMIT = 0.8
"""What of a die may be used: fuller ones rarely meet their clock."""
