"""The designs that exploration chooses from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from sparsat.hw.config import SATConfig, preset
from sparsat.hw.device import Device
from sparsat.hw.floorplan import fit
from sparsat.hw.resource_model import Cost, cost

Pattern = tuple[int, int]

CHOICES: dict[str, tuple[int, ...]] = {
    "rows": tuple(range(4, 65, 4)),
    "cols": (8, 16, 32, 64),
    "depth": (8, 16, 32),
    "a_regs": (16, 32, 64),
    "b_regs": (16, 32, 64),
    "a_link": (1, 2),
    "a_scratch_kib": (256, 512, 1024, 2048, 4096),
    "b_scratch_kib": (512, 1024, 2048, 4096, 8192),
    "c_scratch_kib": (512, 1024, 2048, 4096, 8192),
    "sore_lanes": (4, 8, 16, 32),
    "wuve_lanes": (4, 8, 16, 32),
    "channels": (1, 2, 4),
}
PORT_BYTES_PER_SECOND = 19.2e9
"""DDR4-2400: a port's width times the clock is at most that."""


@dataclass(frozen=True)
class Design:
    """A value of each of `CHOICES`, and the pattern of the weights as N:M, or dense."""

    rows: int
    cols: int
    depth: int
    a_regs: int
    b_regs: int
    a_link: int
    a_scratch_kib: int
    b_scratch_kib: int
    c_scratch_kib: int
    sore_lanes: int
    wuve_lanes: int
    channels: int
    pattern: str

    @property
    def key(self) -> str:
        """The same text for the same design."""
        return json.dumps(asdict(self))

    @classmethod
    def from_key(cls, key: str) -> "Design":
        return cls(**json.loads(key))

    @property
    def n_and_m(self) -> Pattern | None:
        if self.pattern == "dense":
            return None
        n, m = self.pattern.split(":")
        return int(n), int(m)

    def with_(self, **changes: Any) -> "Design":
        return Design(**(asdict(self) | changes))


@dataclass(frozen=True)
class Candidate:
    """A design that fits: its machine at the clock its paths allow, and what it takes."""

    design: Design
    config: SATConfig
    cost: Cost


def candidate(design: Design, device: Device) -> Candidate | None:
    """None where there is no such machine, or it does not fit the device."""
    sizes = {name: getattr(design, name) for name in CHOICES}
    try:
        config = preset("vcu1525").with_(name="explored", clock_hz=1e8, **sizes)
    except ValueError:
        return None
    found = cost(config)
    if not fit(found, device).fits:
        return None
    most = PORT_BYTES_PER_SECOND / (config.axi_bits // 8)
    return Candidate(design, config.with_(clock_hz=min(found.clock_hz, most)), found)


def random_design(rng: Random, patterns: Sequence[str]) -> Design:
    chosen = {name: rng.choice(values) for name, values in CHOICES.items()}
    return Design(**chosen, pattern=rng.choice(patterns))


def mutated(rng: Random, parent: Design, patterns: Sequence[str]) -> Design:
    """One or two choices moved to a neighbouring value, or the pattern to another."""
    names = [*CHOICES, "pattern"] if len(patterns) > 1 else list(CHOICES)
    changes: dict[str, Any] = {}
    for name in rng.sample(names, rng.choice([1, 1, 2])):
        if name == "pattern":
            changes[name] = rng.choice([each for each in patterns if each != parent.pattern])
            continue
        values = CHOICES[name]
        at = values.index(getattr(parent, name))
        changes[name] = values[rng.choice([i for i in (at - 1, at + 1) if 0 <= i < len(values)])]
    return parent.with_(**changes)
