"""Numba kernels of the selection and of the golden GEMM: plain loops in a fixed order.

Threads split the outputs, never a sum, so results do not depend on their number. They are Python's
own: numba's thread layers share OpenMP with PyTorch and would change its number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch

LANES = 64  # groups, or outputs, that one inner loop works on side by side
WORTH_A_THREAD = 1 << 18  # operations
_TINY_EDGE = 2.0**-126 - 2.0**-151  # from here up a magnitude rounds to 2^-126 or more


def run_split(kernel: Callable[..., None], tasks: int, operations: int, *arguments: Any) -> None:
    """`kernel(first, last, *arguments)` over ranges that cover 0..tasks, in torch's thread count.

    `operations` is the work in all: where there is little, fewer threads share it.
    """
    threads = max(1, min(torch.get_num_threads(), tasks, 1 + operations // WORTH_A_THREAD))
    if threads == 1:
        kernel(0, tasks, *arguments)
        return
    bounds = [tasks * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(kernel, a, b, *arguments) for a, b in pairwise(bounds)]
    for part in running:
        part.result()


@numba.njit(nogil=True, cache=True)
def keep_largest(first, last, bits, mask, n_keep, m, inner, magnitude, nan_key):
    """Mark the `n_keep` largest entries of groups first..last; arrays are flat [rows, m, inner].

    `bits` are encodings; `bits & magnitude` orders as the absolute value, NaN cut to `nan_key`.
    """
    base = np.empty(LANES, np.int64)
    local = np.zeros((m, LANES), bits.dtype)
    rank = np.empty((m, LANES), bits.dtype)
    for start in range(first, last, LANES):
        lanes = min(LANES, last - start)
        for lane in range(lanes):
            row = (start + lane) // inner
            base[lane] = row * m * inner + (start + lane) - row * inner
        for i in range(m):
            for lane in range(lanes):
                local[i, lane] = min(bits[base[lane] + i * inner] & magnitude, nan_key)
        _rank(local, rank, m)
        for i in range(m):
            for lane in range(lanes):
                mask[base[lane] + i * inner] = rank[i, lane] < n_keep


@numba.njit(inline="always")
def _rank(keys, rank, m):
    """rank[i] = number of entries that beat entry i: greater, or equal at a lower index."""
    rank[:] = 0
    for i in range(m):
        for j in range(i + 1, m):
            for lane in range(LANES):
                first_wins = keys[i, lane] >= keys[j, lane]
                rank[j, lane] += first_wins
                rank[i, lane] += not first_wins


@numba.njit(nogil=True, cache=True)
def accumulate_exact(first, last, a, start, ks, values, acc):
    """acc[b, q, :] += a[b, ks[e], :] * values[e] for e in start[q]..start[q+1], in that order,
    for b in first..last.

    For operands whose products are exact in binary32 (fp16): a separate product loses nothing.
    `a` is [blocks, K, LANES] and `acc` [blocks, Q, LANES], both float32.
    """
    lanes = np.empty(LANES, np.float32)
    for b in range(first, last):
        for q in range(acc.shape[1]):
            lanes[:] = acc[b, q]
            for e in range(start[q], start[q + 1]):
                k, value = ks[e], values[e]
                for lane in range(LANES):
                    lanes[lane] += a[b, k, lane] * value
            acc[b, q] = lanes


@numba.njit(inline="always")
def fused_add(acc, product):
    """acc + product (binary64 arguments) rounded once to binary32; tiny results become +0.

    The binary64 sum in between does no harm: with 24 bits in acc and 16 in the product it is
    inexact only where the smaller term lies 28 or more places below the larger, which then is the
    result of either rounding.
    """
    total = acc + product
    return np.float32(0.0) if abs(total) < _TINY_EDGE else np.float32(total)


@numba.njit(nogil=True, cache=True)
def accumulate_fused(first, last, a, start, ks, values, acc):
    """`accumulate_exact` for operands whose products may leave binary32's range (bf16)."""
    lanes = np.empty(LANES, np.float32)
    for b in range(first, last):
        for q in range(acc.shape[1]):
            lanes[:] = acc[b, q]
            for e in range(start[q], start[q + 1]):
                k, value = ks[e], np.float64(values[e])
                for lane in range(LANES):
                    product = np.float64(a[b, k, lane]) * value
                    lanes[lane] = fused_add(np.float64(lanes[lane]), product)
            acc[b, q] = lanes
