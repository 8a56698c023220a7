"""A GEMM as one array operation: which words enter which port, where the sums belong.

This is the map that the feeders and collectors of the accelerator follow; here it is written with
whole numpy arrays, for the array alone.
"""

from dataclasses import dataclass

import numpy as np

from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig
from sparsat.hw.tools.array_model import ArrayStreams


@dataclass(frozen=True)
class GroupedB:
    """Right operand as k-groups: `values` uint16 bits and `indices` uint8, both [Q, G, N]."""

    values: np.ndarray
    indices: np.ndarray

    @classmethod
    def dense(cls, bits: np.ndarray, m: int) -> "GroupedB":
        """From [K, Q] operand bits; K divisible by m."""
        k, q = bits.shape
        values = np.ascontiguousarray(bits.T).reshape(q, k // m, m)
        return cls(values, np.zeros(values.shape, np.uint8))


@dataclass(frozen=True)
class ArrayGemm:
    """C + A·B with A [P, K], B [K, Q] on one array, as one operation.

    Output-stationary, tiles run over blocks of P, within them blocks of Q. Weight-stationary, K is
    at most rows · m, tiles run over blocks of Q and each takes all of P. P, Q and K are padded with
    zeros to whole tiles.

    Parameters
    ----------
    config : SATConfig
    p, q, k : int
        Sizes of the GEMM; k is divisible by m.
    dataflow, n, m, ir, is_, a_order, b_order, resume
        As in `ArrayOp`.
    """

    config: SATConfig
    p: int
    q: int
    k: int
    dataflow: Dataflow
    n: int
    m: int
    ir: int
    is_: int
    a_order: Order = Order.K
    b_order: Order = Order.K
    resume: bool = False

    def __post_init__(self) -> None:
        self._op(groups=1, tiles=1).validate(self.config)
        for field in ("p", "q", "k"):
            if getattr(self, field) < 1:
                raise ValueError(f"GEMM: {field} is {getattr(self, field)}, it must be at least 1")
        if self.k % self.m:
            raise ValueError(f"GEMM: k is {self.k}, it must be divisible by m={self.m}")
        if self.dataflow is Dataflow.WS and self.k > self.config.rows * self.m:
            most = self.config.rows * self.m
            raise ValueError(f"GEMM: k is {self.k}, weight-stationary it must be at most {most}")
        self.op.validate(self.config)

    @property
    def blocks_p(self) -> int:
        """Blocks of rows of A: `rows · ir` (OS) or `ir` (WS) each."""
        rows = self.config.rows if self.dataflow is Dataflow.OS else 1
        return -(-self.p // (rows * self.ir))

    @property
    def blocks_q(self) -> int:
        """Blocks of columns of B, `cols · is_` each."""
        return -(-self.q // (self.config.cols * self.is_))

    @property
    def op(self) -> ArrayOp:
        if self.dataflow is Dataflow.OS:
            return self._op(groups=self.k // self.m, tiles=self.blocks_p * self.blocks_q)
        return self._op(groups=self.blocks_p, tiles=self.blocks_q)

    def _op(self, groups: int, tiles: int) -> ArrayOp:
        return ArrayOp(
            dataflow=self.dataflow,
            n=self.n,
            m=self.m,
            ir=self.ir,
            is_=self.is_,
            groups=groups,
            tiles=tiles,
            a_order=self.a_order,
            b_order=self.b_order,
            resume=self.resume,
        )

    def streams(self, a: np.ndarray, b: GroupedB, c: np.ndarray | None = None) -> ArrayStreams:
        """Port words for A [P, K] and B as operand bits, C [P, Q] as binary32 bits."""
        return ArrayStreams(
            a=self._a_words(a),
            b=self._b_words(b),
            c=self._c_words(c) if self.resume and c is not None else self._nothing(),
            sums=self.blocks_p * self.blocks_q * self._rows_out * self.ir * self.is_,
        )

    def outputs(self, sums: np.ndarray) -> np.ndarray:
        """[P, Q] from the columns' words [cols, sums]."""
        padded = self._c_axes(sums.T.reshape(*self._c_shape)[..., ::-1, :, :, :], back=True)
        return padded[: self.p, : self.q]

    @property
    def _rows_out(self) -> int:
        return self.config.rows if self.dataflow is Dataflow.OS else 1

    def _nothing(self) -> list[np.ndarray]:
        return [np.zeros(0, np.uint32)] * self.config.cols

    def _a_words(self, a: np.ndarray) -> list[np.ndarray]:
        rows, m, ir = self.config.rows, self.m, self.ir
        if self.dataflow is Dataflow.OS:
            padded = _pad(a, self.blocks_p * rows * ir, self.k)
            blocks = padded.reshape(self.blocks_p, rows, ir, self.k // m, m)
            blocks = blocks.transpose(1, 0, 3, 2, 4)  # row, block of P, group, ir, k
            blocks = np.repeat(blocks[:, :, None], self.blocks_q, axis=2)
        else:
            padded = _pad(a, self.blocks_p * ir, rows * m)
            blocks = padded.reshape(self.blocks_p, ir, rows, m)
            blocks = blocks.transpose(2, 0, 1, 3)  # row, slot, ir, k
            blocks = np.repeat(blocks[:, None], self.blocks_q, axis=1)
        if self.a_order is Order.MN:
            blocks = blocks.swapaxes(-1, -2)
        values = blocks.reshape(rows, -1, self.config.a_link).astype(np.uint32)
        shifts = np.arange(self.config.a_link, dtype=np.uint32) * self.config.fmt.width
        return list(np.bitwise_or.reduce(values << shifts, axis=-1))

    def _b_words(self, b: GroupedB) -> list[np.ndarray]:
        words = b.values.astype(np.uint32) | b.indices.astype(np.uint32) << self.config.fmt.width
        cols, groups = self.config.cols, self.k // self.m
        width = self.blocks_q * cols * self.is_
        depth = groups if self.dataflow is Dataflow.OS else self.config.rows
        padded = np.zeros((width, depth, self.n), np.uint32)
        padded[: self.q, :groups] = words
        blocks = padded.reshape(self.blocks_q, cols, self.is_, depth, self.n)
        blocks = blocks.transpose(1, 0, 3, 2, 4)  # column, block of Q, group, is_, n
        if self.b_order is Order.MN:
            blocks = blocks.swapaxes(-1, -2)
        if self.dataflow is Dataflow.OS:
            blocks = np.repeat(blocks[:, None], self.blocks_p, axis=1)
        return [np.ascontiguousarray(x).reshape(-1) for x in blocks]

    def _c_words(self, c: np.ndarray) -> list[np.ndarray]:
        width = self.blocks_q * self.config.cols * self.is_
        padded = _pad(c, self.blocks_p * self._rows_out * self.ir, width)
        words = self._c_axes(padded, back=False)[..., ::-1, :, :, :]
        return list(np.ascontiguousarray(words.reshape(-1, self.config.cols).T, np.uint32))

    @property
    def _c_shape(self) -> tuple[int, ...]:
        """Order in which sums pass a column: tile, row (reversed), ir, is_; then the column."""
        outer = (self.blocks_p, self.blocks_q)
        if self.dataflow is Dataflow.WS:
            outer = outer[::-1]
        return (*outer, self._rows_out, self.ir, self.is_, self.config.cols)

    def _c_axes(self, x: np.ndarray, *, back: bool) -> np.ndarray:
        """Between [P, Q] (padded) and [block, block, row, ir, is_, column]."""
        os = self.dataflow is Dataflow.OS
        if back:
            x = x if os else x.swapaxes(0, 1)  # block of P, block of Q, row, ir, is_, column
            x = x.transpose(0, 2, 3, 1, 5, 4)
            return x.reshape(x.shape[0] * x.shape[1] * x.shape[2], -1)
        shape = (self.blocks_p, self._rows_out, self.ir, self.blocks_q, self.config.cols, self.is_)
        x = x.reshape(shape).transpose(0, 3, 1, 2, 5, 4)
        return x if os else x.swapaxes(0, 1)


def _pad(x: np.ndarray, rows: int, cols: int) -> np.ndarray:
    padded = np.zeros((rows, cols), x.dtype)
    padded[: x.shape[0], : x.shape[1]] = x
    return padded
