"""Where EXEC finds its operands and leaves its sums: the loops of docs/isa.md as index arrays.

Every array here is the part of an address that is the same in all chunks and products.
"""

from dataclasses import dataclass

import numpy as np

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Exec


@dataclass(frozen=True)
class Piece:
    """What one pass reads: words of A for entries R × K, rows of B for entries K.

    a : int [R, K], first value of the word.
    inside : bool [R, K], whether the word is read, else it is zeros.
    b : int [K, kept values, blocks of columns].
    b_inside : bool, broadcast with `b`: whether the row is read, else it is zeros.
    """

    a: np.ndarray
    inside: np.ndarray
    b: np.ndarray
    b_inside: np.ndarray


def pieces(config: SATConfig, op: Exec, down: int, b_down: int) -> list[Piece]:
    """The passes of a chunk, one if output-stationary, with entries K below `k` only.

    `down`, `b_down` are how far the chunk's pixels of A and B lie below the first one's.
    """
    per_slot = op.m if op.a_mn else 1
    step = per_slot * (config.rows if op.ws else op.groups)
    rows = np.arange(_entries_r(config, op))
    starts = range(0, step * (op.passes if op.ws else 1), step)
    return [
        _piece(op, rows, np.arange(start, min(start + step, op.k)), down, b_down)
        for start in starts
    ]


def outputs(config: SATConfig, op: Exec) -> tuple[int, int]:
    """Rows P and blocks of columns that are kept of a product."""
    covered = op.ir * (op.groups if op.ws else op.tiles_p * config.rows)
    return min(op.p, covered), min(op.q_blocks, op.tiles_q * op.is_)


def sum_rows(config: SATConfig, op: Exec) -> np.ndarray:
    """Row of C for each output and block of columns, int [P, blocks]."""
    p, blocks = outputs(config, op)
    return op.c_base + op.c_p * np.arange(p)[:, None] + op.c_q * np.arange(blocks)


def _entries_r(config: SATConfig, op: Exec) -> int:
    p, _ = outputs(config, op)
    return -(-p // op.ir) if op.a_mn else p


def _piece(op: Exec, rows: np.ndarray, ks: np.ndarray, down: int, b_down: int) -> Piece:
    r0, r1, r2 = _digits(rows[:, None], op.r0_count, op.r1_count)
    k0, k1, k2 = _digits(ks, op.k0_count, op.k1_count)
    a = r0 * op.r0_a + r1 * op.r1_a + r2 * op.r2_a + k0 * op.k0_a + k1 * op.k1_a + k2 * op.k2_a
    y = op.y0 + down + r1 * op.r1_y + r2 * op.r2_y + k1 * op.k1_y + k2 * op.k2_y
    x = op.x0 + r0 * op.r0_x + r1 * op.r1_x + k0 * op.k0_x + k1 * op.k1_x
    inside = (y >= 0) & (y < op.height) & (x >= 0) & (x < op.width)
    return Piece(op.a_base + a, inside, *_rows_of_b(op, ks, b_down))


def _rows_of_b(op: Exec, ks: np.ndarray, down: int) -> tuple[np.ndarray, np.ndarray]:
    k0, k1, k2 = _digits(ks[:, None, None], op.k0_count, op.k1_count)
    # An entry of r-words is one value, the (K mod M)th of its slot.
    n = ks[:, None, None] % op.m if op.a_mn else np.arange(op.n)[:, None]
    q = np.arange(min(op.q_blocks, op.tiles_q * op.is_))
    q0, q1, q2 = _digits(q, op.q0_count, op.q1_count)
    rows = k0 * op.b_k0 + k1 * op.b_k1 + k2 * op.b_k2 + n * op.b_n
    rows = op.b_base + rows + q0 * op.b_q0 + q1 * op.b_q1 + q2 * op.b_q2
    y = op.b_y0 + down + k1 * op.b_k1_y + q2 * op.b_q2_y
    x = op.b_x0 + k0 * op.b_k0_x + q1 * op.b_q1_x
    inside = (y >= 0) & (y < op.b_height) & (x >= 0) & (x < op.b_width)
    if op.b_last and not op.a_mn:
        inside = inside & ((ks[:, None, None] < op.k - 1) | (n < op.b_last))
    return rows, inside


def _digits(x: np.ndarray, count0: int, count1: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A counter's value in its three dimensions."""
    return x % count0, x // count0 % count1, x // (count0 * count1)
