"""Operands as bits in memory and as tensors; rows of B pruned and packed."""

import numpy as np
import torch
from torch import Tensor

from sparsat.algo.golden import DTYPES, to_operand
from sparsat.algo.patterns import NMPattern
from sparsat.hw.formats import FloatFormat


def as_tensor(bits: np.ndarray, fmt: FloatFormat) -> Tensor:
    """Operand bits (uint16) as a tensor of the format's dtype."""
    return torch.from_numpy(np.ascontiguousarray(bits).view(np.int16)).view(DTYPES[fmt])


def as_bits(values: Tensor) -> np.ndarray:
    """Operands as bits, uint16."""
    return values.contiguous().view(torch.int16).numpy().view(np.uint16)


def rounded(values: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Float32 rounded to nearest even to the operand format, as bits."""
    return as_bits(to_operand(torch.from_numpy(np.ascontiguousarray(values)), fmt))


def prune_rows(
    rows: np.ndarray, pattern: NMPattern, fmt: FloatFormat
) -> tuple[np.ndarray, np.ndarray]:
    """SORE: rows [K, cols] of bits to the kept rows [K/M·N, cols] and their indices (uint8)."""
    values, indices = pattern.pack(as_tensor(rows, fmt), dim=0)  # [cols, K/M, N]
    shape = (-1, rows.shape[1])
    return (
        as_bits(values.permute(1, 2, 0)).reshape(shape),
        indices.permute(1, 2, 0).numpy().reshape(shape),
    )


def pack_indices(indices: np.ndarray) -> np.ndarray:
    """Indices [rows, cols] as bytes [rows, cols / 2], the lower column in the lower half."""
    return indices[:, 0::2] | indices[:, 1::2] << 4


def unpack_indices(packed: np.ndarray, cols: int) -> np.ndarray:
    """Undo `pack_indices`: any number of bytes to [rows, cols]."""
    return np.stack((packed & 15, packed >> 4), axis=-1).reshape(-1, cols)
