"""Transposable masks: one mask, N:M along inputs and along outputs at once."""

from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np
import torch
from torch import Tensor

from .._kernels import run_split
from ..patterns import NMPattern
from ..sites import Site
from .base import IN, OUT, ForwardPruning

SEARCHES = ("greedy", "exact")


@dataclass(frozen=True)
class Transposable(ForwardPruning):
    """Transposable masks by STE (Hubara et al. 2021, "Accelerated sparse neural training").

    Every m×m block of (outputs, inputs) keeps at most `n_keep` entries per row and column, so w and
    wᵀ are both N:M. `search`: "greedy" (the paper's 2-approximation) or "exact" (maximal Σ|w|).
    The mask is renewed every `refresh_every` optimizer steps.
    """

    name: ClassVar[str] = "transposable"
    state_keys: ClassVar[tuple[str, ...]] = ("mask",)
    search: str = "greedy"
    refresh_every: int = 40

    def __post_init__(self) -> None:
        if self.search not in SEARCHES:
            raise ValueError(f"search is {self.search!r}; allowed: {', '.join(SEARCHES)}")

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN, OUT)

    def stages(self, site: Site) -> dict[str, float]:
        return {"FF": site.pattern.density, "BP": site.pattern.density, "WU": 1.0}

    def setup(self, site: Site) -> None:
        site.hold("mask", transposable_mask(site.weight, site.pattern, self.search))

    def advance(self, site: Site, step: int) -> None:
        if step % self.refresh_every == 0:
            self.setup(site)

    def mask(self, site: Site) -> Tensor:
        return site.held("mask")


def transposable_mask(w: Tensor, pattern: NMPattern, search: str = "exact") -> Tensor:
    """Bool mask [out, in, ...] with at most `n_keep` True per row and column of every m×m block."""
    m = pattern.m
    if w.shape[0] % m or w.shape[1] % m:
        raise ValueError(f"weight is {tuple(w.shape)}; allowed: multiples of m = {m} in both axes")
    tiles = w.detach().abs().flatten(2) if w.ndim > 2 else w.detach().abs()[..., None]
    tiles = tiles.unflatten(1, (-1, m)).unflatten(0, (-1, m))  # [O, m, I, m, taps]
    blocks = tiles.permute(0, 2, 4, 1, 3)
    flat = blocks.reshape(-1, m, m).double().cpu().contiguous().numpy()
    kept = np.zeros(flat.shape, np.bool_)
    kernel = _exact if search == "exact" else _greedy
    run_split(kernel, len(flat), w.numel() * pattern.n_keep * m, flat, kept, pattern.n_keep)
    mask = torch.from_numpy(kept).to(w.device).reshape(blocks.shape)
    return mask.permute(0, 3, 1, 4, 2).reshape(w.shape)


@numba.njit(nogil=True, cache=True)
def _greedy(first, last, blocks, kept, n_keep):
    """Visit entries by falling magnitude; keep where row and column still have room."""
    m = blocks.shape[1]
    for b in range(first, last):
        rows, cols = np.zeros(m, np.int64), np.zeros(m, np.int64)
        for entry in np.argsort(-blocks[b].copy().reshape(-1), kind="mergesort"):
            i, j = entry // m, entry % m
            if rows[i] < n_keep and cols[j] < n_keep:
                kept[b, i, j] = True
                rows[i] += 1
                cols[j] += 1


@numba.njit(nogil=True, cache=True)
def _exact(first, last, blocks, kept, n_keep):
    """Maximum-weight selection: augment along the best path from a free row to a free column."""
    for b in range(first, last):
        while _augment(blocks[b], kept[b], n_keep):
            pass


@numba.njit(nogil=True, cache=True)
def _augment(weight, kept, n_keep):
    """Add one entry by the alternating path of largest gain; False where no path gains.

    A path goes row → column over an entry that is not kept (gains it) and column → row over a kept
    one (loses it). Bellman-Ford, as losses are negative.
    """
    m = len(weight)
    row_gain, col_gain = np.full(m, -np.inf), np.full(m, -np.inf)
    row_from, col_from = np.full(m, -1), np.full(m, -1)
    for i in range(m):
        if kept[i].sum() < n_keep:
            row_gain[i] = 0.0
    changed = True
    while changed:
        changed = False
        for i in range(m):
            for j in range(m):
                if not kept[i, j] and row_gain[i] + weight[i, j] > col_gain[j] + 1e-12:
                    col_gain[j], col_from[j] = row_gain[i] + weight[i, j], i
                    changed = True
                if kept[i, j] and col_gain[j] - weight[i, j] > row_gain[i] + 1e-12:
                    row_gain[i], row_from[i] = col_gain[j] - weight[i, j], j
                    changed = True
    best, end = 0.0, -1
    for j in range(m):
        if kept[:, j].sum() < n_keep and col_gain[j] > best:
            best, end = col_gain[j], j
    if end < 0:
        return False
    j = end
    while True:
        i = col_from[j]
        kept[i, j] = True
        if row_from[i] < 0:
            return True
        j = row_from[i]
        kept[i, j] = False
