"""What a device has to give to the accelerator, and whether a configuration fits."""

from dataclasses import dataclass
from functools import cached_property

KINDS = ("lut", "ff", "dsp", "bram18", "uram")


@dataclass(frozen=True)
class Amount:
    """Resources used or available; `bram18` counts halves of block RAMs."""

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram18: float = 0
    uram: float = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram18 + other.bram18,
            self.uram + other.uram,
        )

    def __mul__(self, factor: float) -> "Amount":
        return Amount(*(factor * getattr(self, kind) for kind in KINDS))

    def share(self, available: "Amount") -> tuple[float, str]:
        """The largest part of what is available, and of which resource that is."""
        return max((getattr(self, kind) / getattr(available, kind), kind) for kind in KINDS)


@dataclass(frozen=True)
class Device:
    """A device by its dies (SLRs): what each has, and what the card's shell leaves of it."""

    name: str
    whole: tuple[Amount, ...]
    left: tuple[Amount, ...]

    @cached_property
    def available(self) -> Amount:
        return sum(self.left, Amount())


VU9P = Device(
    "xcvu9p",
    whole=(Amount(394_080, 788_160, 2280, 1440, 320),) * 3,
    left=(
        Amount(354_690, 723_308, 2265, 2 * 638, 320),
        Amount(159_739, 331_654, 1317, 2 * 326, 160),
        Amount(354_839, 723_294, 2265, 2 * 638, 320),
    ),
)
"""Left by a shell with PCIe and four DDR4 controllers: UG1393 2023.1, "Resource Availability"; the
UltraRAM there is UG1702's of a later shell of this device."""

DEVICES = {"vcu1525": VU9P, "u200": VU9P}
"""By card."""

LIMIT = 0.8
"""What of a die may be used: fuller ones rarely meet their clock."""
