"""Checkpoints: one file with all that a run needs to go on bit by bit as if never stopped."""

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparsat.algo.training.errors import CheckpointError
from sparsat.algo.training.files import write_atomic

MAGIC = b"sparsat checkpoint 1\n"
"""First line of a file; a SHA-256 of the rest follows it, then a `torch.save` archive."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts), atomically and with a checksum."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    write_atomic(path, MAGIC + hashlib.sha256(body).digest() + body)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save` wrote. Raises `CheckpointError` where a byte is missing or wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot read checkpoint {path} ({error.strerror})"
        raise CheckpointError(f"{message}: delete {path.parent} and train again") from error
    head, body = content[: len(MAGIC) + 32], content[len(MAGIC) + 32 :]
    if head != MAGIC + hashlib.sha256(body).digest():
        raise CheckpointError(f"checkpoint {path} is damaged: delete {path.parent} and train again")
    return torch.load(io.BytesIO(body), map_location=device, weights_only=True)


def random_state() -> dict[str, Any]:
    """State of every random generator a method may draw from."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [np.asarray(x).tolist() for x in np.random.get_state(legacy=True)],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put every generator back to `random_state()`."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, gauss))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
