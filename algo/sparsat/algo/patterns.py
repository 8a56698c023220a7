"""N:M patterns: which entries are kept, the masks this gives, and the packed form the array reads.

Everywhere in SparSAT `n_keep:m` means that `n_keep` of every `m` consecutive entries are **kept**.
Libraries disagree on this (some count the pruned ones); the `counts` argument of `NMPattern.parse`
and `Handle.import_masks` takes theirs.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from sparsat.hw.config import GROUP_SIZES

from ._kernels import keep_largest, run_split

# dtype -> (integer of its width, encoding just above infinity: the key that all NaN share)
_ENCODINGS = {
    torch.float16: (torch.int16, 0x7C01),
    torch.bfloat16: (torch.int16, 0x7F81),
    torch.float32: (torch.int32, 0x7F800001),
    torch.float64: (torch.int64, 0x7FF0000000000001),
}


@dataclass(frozen=True)
class NMPattern:
    """`n_keep` kept entries in every group of `m` consecutive ones; `n_keep == m` is dense.

    Raises `ValueError` where `m` is not 4, 8 or 16, or `n_keep` is outside 1..m.
    """

    n_keep: int
    m: int
    sizes: ClassVar[tuple[int, ...]] = GROUP_SIZES  # allowed m

    def __post_init__(self) -> None:
        if self.m not in self.sizes:
            *most, last = self.sizes
            raise ValueError(f"m is {self.m!r}; allowed: {', '.join(map(str, most))} or {last}")
        if isinstance(self.n_keep, bool) or not isinstance(self.n_keep, int):
            raise ValueError(f"n_keep is {self.n_keep!r}; allowed: an integer 1..{self.m}")
        if not 1 <= self.n_keep <= self.m:
            raise ValueError(f"n_keep is {self.n_keep}; allowed: 1..{self.m} when m is {self.m}")

    @classmethod
    def parse(cls, text: str, counts: str = "kept", dense_m: int = 8) -> Self:
        """Read "2:8" or "dense" (all of `dense_m`).

        `counts` says what the first number counts where `text` comes from: "kept" (here, and by
        NVIDIA's convention) or "pruned" (Wanda, SparseGPT, coremltools, ...): there "2:8" keeps 6.
        """
        check_counts(counts)
        if text.strip().lower() == "dense":
            return cls(dense_m, dense_m)
        kept, colon, size = text.partition(":")
        if not (colon and kept.strip().isdecimal() and size.strip().isdecimal()):
            raise ValueError(f'pattern is {text!r}; allowed: "N:M", as in "2:8", or "dense"')
        n, m = int(kept), int(size)
        return cls(n if counts == "kept" else m - n, m)

    def __str__(self) -> str:
        return "dense" if self.is_dense else f"{self.n_keep}:{self.m}"

    @property
    def is_dense(self) -> bool:
        return self.n_keep == self.m

    @property
    def density(self) -> float:
        """Fraction of entries kept."""
        return self.n_keep / self.m

    @property
    def index_bits(self) -> int:
        """Bits of one kept entry's index in its group; a dense group stores none."""
        return 0 if self.is_dense else self.m.bit_length() - 1

    def storage_bits(self, entries: int, value_bits: int = 16) -> int:
        """Bits that hold a packed tensor of `entries` entries (a multiple of m)."""
        self._check_divides(entries)
        return entries // self.m * self.n_keep * (value_bits + self.index_bits)

    def mask(self, scores: Tensor, dim: int = -1) -> Tensor:
        """Bool mask, shaped as `scores`: the `n_keep` largest |scores| of each group along `dim`.

        A tie keeps the lower index; NaN counts as largest. Raises `ValueError` where `dim`'s
        length is not a multiple of m.
        """
        self._check_divides(scores.shape[dim])
        if self.is_dense:
            return torch.ones_like(scores, dtype=torch.bool)
        scores = scores.detach()
        if scores.device.type == "cpu" and not torch.compiler.is_compiling():
            return _mask_by_kernel(scores, dim % scores.ndim, self.n_keep, self.m)
        return _mask_by_sort(scores, dim, self.n_keep, self.m)

    def prune(self, w: Tensor, dim: int = -1) -> Tensor:
        """`w` with the entries outside `mask(w, dim)` set to +0."""
        return torch.where(self.mask(w, dim), w, 0.0)

    def pack(self, w: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
        """Values and indices of the kept entries, groups along `dim`, which becomes the last axis.

        Both are [..., groups, n_keep]; indices are uint8 and ascend in a group. A group always
        holds exactly `n_keep` entries, so a kept zero is stored. `pack(b, dim=0)` of a
        right-hand operand [K, Q] gives the [Q, K/m, n_keep] that `golden.gemm_packed` takes.
        """
        return self.pack_masked(w, self.mask(w, dim), dim)

    def pack_masked(self, w: Tensor, mask: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
        """`pack` with the kept entries given: `mask` holds exactly `n_keep` True in every group."""
        self._check_divides(w.shape[dim])
        kept = self._groups(mask, dim)
        if bool((kept.sum(-1) != self.n_keep).any()):
            raise ValueError(f"mask: a group along dim {dim} does not keep exactly {self.n_keep}")
        slots = torch.arange(self.m, dtype=torch.uint8, device=w.device)
        shape = (*kept.shape[:-1], self.n_keep)
        indices = slots.expand(kept.shape)[kept].reshape(shape)
        return self._groups(w, dim)[kept].reshape(shape), indices

    def unpack(self, values: Tensor, indices: Tensor, dim: int = -1) -> Tensor:
        """The dense tensor that `pack(w, dim)` came from, pruned entries +0."""
        if values.shape != indices.shape or values.shape[-1] != self.n_keep:
            raise ValueError(
                f"values {tuple(values.shape)} and indices {tuple(indices.shape)}: "
                f"allowed: the same shape, last axis {self.n_keep}"
            )
        if values.numel() and int(indices.max()) >= self.m:
            raise ValueError(f"indices hold {int(indices.max())}; allowed: 0..{self.m - 1}")
        groups = values.new_zeros((*values.shape[:-1], self.m))
        groups.scatter_(-1, indices.long(), values)
        return groups.flatten(-2).movedim(-1, dim)

    def _groups(self, w: Tensor, dim: int) -> Tensor:
        """`w` as [..., groups, m], `dim` moved last."""
        return w.movedim(dim, -1).unflatten(-1, (-1, self.m))

    def _check_divides(self, length: int) -> None:
        if length % self.m:
            raise ValueError(f"dimension is {length}; allowed: a multiple of m = {self.m}")


def check_counts(counts: str) -> None:
    """Raise `ValueError` unless `counts` is "kept" or "pruned"."""
    if counts not in ("kept", "pruned"):
        raise ValueError(f'counts is {counts!r}; allowed: "kept" or "pruned"')


def _encoding(scores: Tensor) -> tuple[Tensor, int, int]:
    """Bits of `scores` as integers, the mask of their magnitude, and the key all NaN share.

    Magnitude bits order as the absolute value does, and NaN's lie above infinity's.
    """
    if scores.dtype not in _ENCODINGS:
        raise ValueError(f"dtype is {scores.dtype}; allowed: float16, bfloat16, float32, float64")
    integer, nan_key = _ENCODINGS[scores.dtype]
    return scores.contiguous().view(integer), torch.iinfo(integer).max, nan_key


def _mask_by_kernel(scores: Tensor, dim: int, n_keep: int, m: int) -> Tensor:
    bits, magnitude, nan_key = _encoding(scores)
    inner = math.prod(bits.shape[dim + 1 :])
    mask = torch.empty(bits.shape, dtype=torch.bool)
    flat = bits.numpy().reshape(-1)
    kind = flat.dtype.type
    keys = kind(magnitude), kind(nan_key)
    groups, out = flat.size // m, mask.numpy().reshape(-1)
    run_split(keep_largest, groups, flat.size, flat, out, n_keep, m, inner, *keys)
    return mask


def _mask_by_sort(scores: Tensor, dim: int, n_keep: int, m: int) -> Tensor:
    """What the kernel does, on any device."""
    bits, magnitude, nan_key = _encoding(scores)
    keys = (bits & magnitude).clamp_(max=nan_key)
    groups = keys.movedim(dim, -1).unflatten(-1, (-1, m))
    best = groups.sort(dim=-1, descending=True, stable=True).indices[..., :n_keep]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True)
    return mask.flatten(-2).movedim(-1, dim)
