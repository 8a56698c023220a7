"""Reading what `simulate` and `compare` are asked for; every error says what exists instead."""

import re

from sparsat.dataflow.ir import Step
from sparsat.dataflow.schedule import SCHEDULES, Schedule
from sparsat.hw.config import GROUP_SIZES, SATConfig, preset
from sparsat.sim.simulate import Pattern


def pattern_of(text: str) -> Pattern | None:
    """(n, m), None if `dense`. Like `NMPattern.parse`, which needs PyTorch."""
    if text == "dense":
        return None
    match = re.fullmatch(r"(\d{1,3}):(\d{1,3})", text)
    if not match:
        raise ValueError(f"pattern is {text!r}, it must be N:M, as in 2:8, or dense")
    n, m = int(match[1]), int(match[2])
    if m not in GROUP_SIZES or not 1 <= n <= m:
        raise ValueError(f"pattern is {text!r}, M must be 4, 8 or 16, and N from 1 to M")
    return (n, m) if n < m else None


def schedule_of(text: str) -> Schedule:
    if text not in SCHEDULES:
        raise ValueError(f"unknown schedule {text!r}: known are {', '.join(SCHEDULES)}")
    return SCHEDULES[text]


def hardware_of(text: str) -> SATConfig:
    """A machine small enough to run its Verilog."""
    if text not in ("tiny", "small"):
        raise ValueError(f"--config is {text!r}, hardware is simulated as tiny or small")
    return preset(text)


def names_of(option: str, text: str) -> list[str]:
    """A list separated by commas, each once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError(f"{option} is {text!r}, it must be a list such as a,b")
    return names


def step_of(model: str, batch: int) -> Step:
    """The captured step, with a sign of life on standard error while it takes time."""
    from rich.console import Console

    from sparsat.dataflow.step_cache import captured_step

    with Console(stderr=True).status(f"Capturing {model}, batch {batch}"):
        return captured_step(model, batch)
