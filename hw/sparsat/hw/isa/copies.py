"""How the operand copies of a weight lie in memory."""

from sparsat.hw.config import SATConfig


def column_rows(config: SATConfig, reduced: int, n: int, m: int) -> int:
    """Rows from one block of columns to the next, `reduced` values of k pruned to n of m.

    Kept rows, and then as many as it takes for the next block to begin at a line, in the plane of
    the values and in that of the indices.
    """
    kept = reduced * n // m
    row_bytes = 2 * config.cols if n == m else config.cols // 2
    per_line = config.line_bytes // row_bytes
    return -(-kept // per_line) * per_line
