"""EXEC: the chunks, the halves they use, and the GEMMs."""

from collections.abc import Iterator

import numpy as np
import torch

from sparsat.algo.golden import gemm_packed
from sparsat.hw.isa.instructions import Advance, Exec, Sem

from .addresses import Piece, pieces, sum_rows
from .state import Machine, MachineError, Turn, check_range, mask
from .words import as_tensor

_WORD = 16  # values that lie side by side in a scratchpad of A


def execute(machine: Machine, op: Exec) -> Iterator[int]:
    """Run `op`; yields the semaphores it takes."""
    pads = [
        _Pad(op, "a", machine.exec_a, Sem.A_FULL, Sem.A_FREE),
        _Pad(op, "b", machine.exec_b, Sem.B_FULL, Sem.B_FREE),
        _Pad(op, "c", machine.exec_c, Sem.C_FREE, Sem.C_FULL),
    ]
    sums = sum_rows(machine.config, op)
    found: dict[tuple[int, int], list[Piece]] = {}  # chunks that lie alike read alike
    for o in range(op.outer):
        for i in range(op.inner):
            due = [pad for pad in pads if pad.takes(o, i)]
            yield mask(*(pad.take for pad in due))
            for pad in due:
                pad.turn.advance()
            resumed = bool(op.resume or (op.chain and not pads[2].begins(o, i)))
            down = o * op.y_outer + i * op.y_inner, i * op.b_y_inner
            if down not in found:
                found[down] = pieces(machine.config, op, *down)
            for number, piece in enumerate(found[down]):
                _run_pass(machine, op, piece, sums, (o, i), resumed or number > 0)
            machine.semaphores.give(mask(*(pad.give for pad in pads if pad.gives(o, i))))


class _Pad:
    """How one EXEC goes through the halves of one scratchpad."""

    def __init__(self, op: Exec, name: str, turn: Turn, take: Sem, give: Sem) -> None:
        self.turn, self.take, self.give = turn, take, give
        self.advance = Advance(getattr(op, f"{name}_advance"))
        self.held = bool(getattr(op, f"{name}_held"))
        self.keep = bool(getattr(op, f"{name}_keep"))
        self.last = (op.outer - 1, op.inner - 1)
        if self.held != turn.kept:
            before = "kept" if turn.kept else "did not keep"
            raise MachineError(
                f"FIELD: {name}_held is {int(self.held)}, but the EXEC before {before} its half"
            )
        turn.kept = self.keep

    def takes(self, o: int, i: int) -> bool:
        """Whether chunk (o, i) takes the token of the next half."""
        return self.begins(o, i) and not (self.held and o == i == 0)

    def gives(self, o: int, i: int) -> bool:
        """Whether a half is given back after chunk (o, i)."""
        return self.begins(self.last[0] - o, self.last[1] - i) and not (
            self.keep and (o, i) == self.last
        )

    def begins(self, o: int, i: int) -> bool:
        """Whether a half begins (ends) with the chunk that has o and i others before (after) it."""
        if self.advance is Advance.EVERY:
            return True
        return i == 0 and (self.advance is Advance.OUTER or o == 0)


def _run_pass(
    machine: Machine,
    op: Exec,
    piece: Piece,
    sums: np.ndarray,
    chunk: tuple[int, int],
    resumed: bool,
) -> None:
    """All products of one pass of a chunk; `sums` are the rows of C, [P, blocks]."""
    o, i = chunk
    half = machine.c[machine.exec_c.half]
    for p1 in range(op.products1):
        for p0 in range(op.products0):
            a_at = o * op.a_outer + i * op.a_inner + p0 * op.a_product0 + p1 * op.a_product1
            b_at = o * op.b_outer + p0 * op.b_product0 + p1 * op.b_product1
            rows = sums + p0 * op.c_product0 + p1 * op.c_product1
            _check_rows("C rows", rows, len(half))
            start = torch.from_numpy(half[rows].reshape(len(rows), -1)) if resumed else None
            a, (b, indices) = _left(machine, op, piece, a_at), _right(machine, op, piece, b_at)
            m = 1 if op.a_mn else op.m
            result = gemm_packed(a, b, indices, m, start, machine.config.fmt)
            half[rows] = result.numpy().reshape(*rows.shape, -1)


def _left(machine: Machine, op: Exec, piece: Piece, offset: int) -> torch.Tensor:
    """The words of A as the left operand [P, K·M] (k-words) or [P, K] (r-words)."""
    half, length = machine.a[machine.exec_a.half], op.ir if op.a_mn else op.m
    first = np.where(piece.inside, piece.a + offset, 0)
    low, high = int(first.min(initial=0)), int(first.max(initial=0)) + length - 1
    check_range("A values", low, high, len(half))
    if (first % _WORD + length > _WORD).any():
        raise MachineError(f"FIELD: a word of {length} values of A crosses a multiple of {_WORD}")
    words = half[first[..., None] + np.arange(length)]
    words[~piece.inside] = 0
    words = words.swapaxes(1, 2) if op.a_mn else words
    rows = words.reshape(len(words) * (op.ir if op.a_mn else 1), -1)
    return as_tensor(rows[: op.p], machine.config.fmt)


def _right(
    machine: Machine, op: Exec, piece: Piece, offset: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of B as values and indices in their groups, both [Q, K, kept values]."""
    inside = np.broadcast_to(piece.b_inside, piece.b.shape)
    rows = np.where(inside, piece.b + offset, 0)
    _check_rows("B rows", rows, machine.b.shape[1])
    values = _by_column(machine.b[machine.exec_b.half][rows] * inside[..., None])
    if op.n == op.m:
        dense = np.arange(rows.shape[1], dtype=np.uint8)
        indices = np.broadcast_to(dense, values.shape)
    else:
        indices = _by_column(machine.b_index[machine.exec_b.half][rows])
    return as_tensor(values, machine.config.fmt), torch.from_numpy(np.array(indices))


def _by_column(rows: np.ndarray) -> np.ndarray:
    """[K, kept values, blocks, cols] as [blocks · cols, K, kept values]."""
    k, kept, blocks, cols = rows.shape
    return rows.transpose(2, 3, 0, 1).reshape(blocks * cols, k, kept)


def _check_rows(what: str, rows: np.ndarray, size: int) -> None:
    check_range(what, int(rows.min(initial=0)), int(rows.max(initial=0)), size)
