"""Configuration of SAT: one frozen object that hardware, compiler and simulator share."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property

from sparsat.hw.formats import FP16, OPERAND_FORMATS, FloatFormat

GROUP_SIZES = (4, 8, 16)
"""Group sizes M in which operands are pruned."""
DENSE_GROUP_SIZES = (2, *GROUP_SIZES)
"""Group sizes in which the cells run dense operands."""


@dataclass(frozen=True, kw_only=True)
class SATConfig:
    """Sizes of one accelerator.

    Parameters
    ----------
    name : str
        Used for module and file names.
    rows, cols : int
        Cells of the array.
    m_max : int
        Largest group size M: 4, 8 or 16.
    depth : int
        Interleave depth: accumulators per cell, the limit of Ir·Is.
    fmt : FloatFormat
        Operand format.
    a_regs : int
        Values of A a cell holds per buffer (two buffers): the limit of Ir·M.
    b_regs : int
        Values of B a cell holds per buffer (two buffers): the limit of Is·N.
    a_link : int
        Values of A that enter a row per cycle: 1 or 2. A column takes one value of B per cycle.
    a_scratch_kib, b_scratch_kib, c_scratch_kib : int
        Scratchpads, KiB, both halves: one of the private copies of A, the values of B, C.
    sore_lanes, wuve_lanes : int
        Lanes of the N:M reduction and weight-update engines; they divide `cols`.
    axi_bits, channels : int
        Width of one memory port and number of ports. A burst of 64 beats lies within 4 KiB, as AXI
        demands, and a line's number is part of its address.
    clock_hz : float
    """

    name: str
    rows: int
    cols: int
    m_max: int = 16
    depth: int = 16
    fmt: FloatFormat = FP16
    a_regs: int = 32
    b_regs: int = 32
    a_link: int = 1
    a_scratch_kib: int
    b_scratch_kib: int
    c_scratch_kib: int
    sore_lanes: int
    wuve_lanes: int
    axi_bits: int = 512
    channels: int = 1
    clock_hz: float = 300e6

    def __post_init__(self) -> None:
        self._need("name", isinstance(self.name, str) and self.name.isidentifier(), "an identifier")
        formats = tuple(OPERAND_FORMATS.values())
        self._need("fmt", self.fmt in formats, f"the format {' or '.join(OPERAND_FORMATS)}")
        for field, kind in self.__annotations__.items():
            if kind is int:
                self._need(field, type(getattr(self, field)) is int, "an integer")
        self._need("clock_hz", type(self.clock_hz) in (int, float), "a number")
        self._need("rows", 1 <= self.rows <= 128, "from 1 to 128")
        self._need("cols", 1 <= self.cols <= 64, "from 1 to 64")
        self._need("m_max", self.m_max in GROUP_SIZES, "4, 8 or 16")
        self._need("depth", _power_of_two(self.depth, 4, 32), "a power of two from 4 to 32")
        for field, most in (("a_regs", 64), ("b_regs", 64)):
            value = getattr(self, field)
            fits = _power_of_two(value, self.m_max, most)
            self._need(field, fits, f"a power of two from m_max={self.m_max} to {most}")
        self._need("a_link", self.a_link in (1, 2), "1 or 2 values per cycle")
        for field in ("a_scratch_kib", "b_scratch_kib", "c_scratch_kib"):
            self._need(field, 1 <= getattr(self, field) <= 65536, "from 1 to 65536 KiB")
        for field in ("sore_lanes", "wuve_lanes"):
            lanes = getattr(self, field)
            divides = lanes >= 1 and self.cols % lanes == 0
            self._need(field, divides, f"a divisor of cols={self.cols}")
        self._need("axi_bits", _power_of_two(self.axi_bits, 64, 512), "a power of two, 64 to 512")
        self._need("channels", self.channels in (1, 2, 4), "1, 2 or 4")
        most = self.line_bytes // 4
        fits = self.cols <= most
        self._need("cols", fits, f"at most {most}: a line, axi_bits·channels, holds a row of FP32")
        self._need("clock_hz", 1e6 <= self.clock_hz <= 1e9, "from 1 MHz to 1 GHz")

    def _need(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            value = getattr(self, field)
            raise ValueError(f"SATConfig {self.name!r}: {field} is {value!r}, it must be {allowed}")

    @property
    def cells(self) -> int:
        return self.rows * self.cols

    @property
    def index_bits(self) -> int:
        """Bits of an index within a group."""
        return (self.m_max - 1).bit_length()

    @cached_property
    def block(self) -> int:
        """Channels are padded to a multiple of this in memory: whole rows and whole groups."""
        return max(self.cols, max(GROUP_SIZES))

    @cached_property
    def line_bytes(self) -> int:
        """Bytes that all memory ports together move per cycle."""
        return self.axi_bits // 8 * self.channels

    @property
    def peak_macs_per_second(self) -> float:
        return self.cells * self.clock_hz

    def with_(self, **changes) -> "SATConfig":
        return replace(self, **changes)

    def to_dict(self) -> dict:
        """JSON-ready form; the format goes by its name."""
        return asdict(self) | {"fmt": self.fmt.name}


def _power_of_two(value: int, low: int, high: int) -> bool:
    return low <= value <= high and value & (value - 1) == 0


def _presets() -> dict[str, SATConfig]:
    small = SATConfig(
        name="small",
        rows=8,
        cols=8,
        a_scratch_kib=128,
        b_scratch_kib=64,
        c_scratch_kib=64,
        sore_lanes=4,
        wuve_lanes=4,
    )
    card = SATConfig(
        name="vcu1525",
        rows=32,
        cols=32,
        a_scratch_kib=2048,
        b_scratch_kib=2048,
        c_scratch_kib=2048,
        b_regs=16,
        a_link=2,
        sore_lanes=32,
        wuve_lanes=16,
        channels=4,
    )
    configs = (
        small.with_(name="tiny", rows=4, cols=4, a_link=2),
        small,
        card,
        # By `make resources` no more rows fit beside the rest of the machine and the card's shell.
        card.with_(name="vcu1525_max", rows=32),
    )
    return {c.name: c for c in configs}


PRESETS = _presets()


def preset(name: str) -> SATConfig:
    """The named preset. Raises ValueError that lists the presets."""
    if name not in PRESETS:
        raise ValueError(f"config {name!r} is unknown, it must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
