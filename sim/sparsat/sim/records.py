"""Records of 64-bit integers, which numba passes by reference."""

import numpy as np


def record(fields: str, **nested: int | np.dtype | tuple[np.dtype, int]) -> np.dtype:
    """A record of the named integers; and of arrays of them, records, or arrays of records."""
    return np.dtype(
        [
            *((name, "i8") for name in fields.split()),
            *((name, *_kind(kind)) for name, kind in nested.items()),
        ]
    )


def _kind(kind: int | np.dtype | tuple[np.dtype, int]) -> tuple:
    if isinstance(kind, int):
        return "i8", (kind,)
    if isinstance(kind, tuple):
        return kind[0], (kind[1],)
    return (kind,)
