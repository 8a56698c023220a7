"""Tensors as the machine has them in memory, for tests of programs: docs/architecture.md."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sparsat.algo.golden import DTYPES
from sparsat.algo.patterns import NMPattern
from sparsat.hw.config import SATConfig


def up(x: int, step: int) -> int:
    """`x` rounded up to a multiple of `step`."""
    return -(-x // step) * step


def to_bytes(x: Tensor) -> np.ndarray:
    """The bytes of a tensor, uint8 [count]."""
    return x.contiguous().view(torch.uint8).numpy().reshape(-1)


@dataclass
class Image:
    """Memory under construction: tensors one after another, each from a line on.

    Unused bytes between them are 0xFF: NaN in every format.
    """

    config: SATConfig
    parts: list[np.ndarray] = field(default_factory=list)

    def put(self, content: np.ndarray) -> int:
        """Address of `content` [bytes]."""
        address = sum(map(len, self.parts))
        padding = up(len(content), self.config.line_bytes) - len(content)
        self.parts.append(np.pad(content, (0, padding), constant_values=0xFF))
        return address

    def room(self, size: int) -> int:
        """Address of `size` bytes for a result."""
        return self.put(np.full(size, 0xFF, np.uint8))

    def memory(self) -> np.ndarray:
        return np.concatenate(self.parts)


def image_bytes(config: SATConfig, shape: tuple[int, ...]) -> int:
    """Bytes from one image [..., channels] to the next, channels padded."""
    *sizes, channels = shape
    values = int(np.prod(sizes)) * up(channels, config.block)
    return up(values * 2, config.line_bytes)


def activations(config: SATConfig, x: Tensor) -> np.ndarray:
    """Operands [image, ..., channel] as bytes; padding channels are zeros."""
    padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % config.block))
    images = padded.flatten(1).contiguous().view(torch.uint8).numpy()
    each = image_bytes(config, tuple(x.shape[1:]))
    return np.pad(images, ((0, 0), (0, each - images.shape[1])), constant_values=0xFF).reshape(-1)


def read_activations(
    config: SATConfig, memory: np.ndarray, address: int, shape: tuple[int, ...]
) -> Tensor:
    """Operands of `shape` [image, ..., channel] from `address`."""
    each = image_bytes(config, shape[1:])
    images = memory[address : address + shape[0] * each].reshape(shape[0], each)
    padded = (*shape[:-1], up(shape[-1], config.block))
    values = images[:, : int(np.prod(padded[1:])) * 2].copy()
    return torch.from_numpy(values).view(DTYPES[config.fmt]).reshape(padded)[..., : shape[-1]]


def operand_rows(config: SATConfig, b: Tensor, pattern: NMPattern) -> tuple[np.ndarray, np.ndarray]:
    """A right operand [K, Q] as bytes of its two planes: blocks of `cols` columns, kept rows."""
    values, indices = pattern.pack(b, dim=0)  # [Q, groups, kept]
    blocks = values.reshape(-1, config.cols, values.shape[1] * values.shape[2]).transpose(1, 2)
    places = indices.reshape(-1, config.cols, values.shape[1] * values.shape[2]).transpose(1, 2)
    low, high = places[..., 0::2], places[..., 1::2]
    return to_bytes(blocks), to_bytes(low + 16 * high)


def masters(config: SATConfig, w: Tensor) -> np.ndarray:
    """Float32 weights [taps, inputs, outputs], padded to blocks, as bytes in blocks of D × cols."""
    block, cols = config.block, config.cols
    taps, inputs, outputs = w.shape
    padded = torch.nn.functional.pad(w, (0, -outputs % block, 0, -inputs % block))
    out = torch.zeros(padded.shape[1] // block, taps, padded.shape[2] // cols, block, cols)
    for tap in range(taps):
        for i in range(0, padded.shape[1], block):
            for o in range(0, padded.shape[2], cols):
                out[i // block, tap, o // cols] = padded[tap, i : i + block, o : o + cols]
    return to_bytes(out)
