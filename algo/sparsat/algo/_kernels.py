"""Numba kernels of the selection and of the golden GEMM: plain loops in a fixed order.

Threads split the outputs, never a sum, so results do not depend on their number.
"""

import numba
import numpy as np
import torch

LANES = 64  # groups, or outputs, that one inner loop works on side by side
WORTH_A_THREAD = 1 << 18  # operations
CHUNK = 64 * LANES  # groups that one thread takes at a time
_TINY_EDGE = 2.0**-126 - 2.0**-151  # from here up a magnitude rounds to 2^-126 or more


def use_threads(operations: int) -> None:
    """Let the next kernel use as many threads as torch does, fewer where there is little to do."""
    wanted = min(torch.get_num_threads(), 1 + operations // WORTH_A_THREAD)
    numba.set_num_threads(max(1, min(wanted, numba.config.NUMBA_NUM_THREADS)))


@numba.njit(parallel=True, cache=True)
def keep_largest(bits, mask, n_keep, m, inner, magnitude, nan_key):
    """Mark the `n_keep` largest entries of each group; `bits` and `mask` are flat [rows, m, inner].

    `bits` are encodings; `bits & magnitude` orders as the absolute value, NaN cut to `nan_key`.
    """
    groups = bits.size // m
    chunks = (groups + CHUNK - 1) // CHUNK
    for chunk in numba.prange(chunks):
        base = np.empty(LANES, np.int64)
        local = np.zeros((m, LANES), bits.dtype)
        rank = np.empty((m, LANES), bits.dtype)
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, groups), LANES):
            lanes = min(LANES, groups - first)
            for lane in range(lanes):
                row = (first + lane) // inner
                base[lane] = row * m * inner + (first + lane) - row * inner
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


@numba.njit(parallel=True, cache=True)
def accumulate_exact(a, start, ks, values, acc):
    """acc[b, q, :] += a[b, ks[e], :] * values[e] for e in start[q]..start[q+1], in that order.

    For operands whose products are exact in binary32 (fp16): a separate product loses nothing.
    `a` is [blocks, K, LANES] and `acc` [blocks, Q, LANES], both float32.
    """
    blocks, columns, _ = acc.shape
    for b in numba.prange(blocks):
        lanes = np.empty(LANES, np.float32)
        for q in range(columns):
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


@numba.njit(parallel=True, cache=True)
def accumulate_fused(a, start, ks, values, acc):
    """`accumulate_exact` for operands whose products may leave binary32's range (bf16)."""
    blocks, columns, _ = acc.shape
    for b in numba.prange(blocks):
        lanes = np.empty(LANES, np.float32)
        for q in range(columns):
            lanes[:] = acc[b, q]
            for e in range(start[q], start[q + 1]):
                k, value = ks[e], np.float64(values[e])
                for lane in range(LANES):
                    product = np.float64(a[b, k, lane]) * value
                    lanes[lane] = fused_add(np.float64(lanes[lane]), product)
            acc[b, q] = lanes
