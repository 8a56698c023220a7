"""The machine around the GEMMs: halves, loads, semaphores, the order of engines, errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from machine_layout import Image, operand_rows, to_bytes
from sparsat.algo.golden import gemm, gemm_packed
from sparsat.algo.patterns import NMPattern
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import preset
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
    Vector,
)
from sparsat.sim.functional import MachineError, run
from sparsat.sim.functional.engines import ENGINES

TINY = preset("tiny").with_(a_scratch_kib=16, b_scratch_kib=16, c_scratch_kib=16)
P, K, BLOCKS = 16, 32, 4  # of the GEMMs below: A [P, K] · B [K, BLOCKS · cols]
Q = BLOCKS * TINY.cols
LINE = TINY.line_bytes
A_LINES, B_LINES, C_BYTES = P * K * 2 // LINE, K * Q * 2 // LINE, P * Q * 4
DENSE = NMPattern(8, 8)
EXEC = Exec(
    n=8,
    log_m=log_m_of(8),
    ir=2,
    is_=2,
    p=P,
    tiles_p=2,
    q_blocks=BLOCKS,
    tiles_q=2,
    groups=K // 8,
    k=K // 8,
    r0_a=K,
    r0_count=P,
    k0_a=8,
    k0_count=K // 8,
    b_n=1,
    b_k0=8,
    q0_count=4096,
    b_q0=K,
    c_p=BLOCKS,
    c_q=1,
)
STORE = Store(wide=1, rows=P * BLOCKS)
EVERY = {f"{pad}_advance": Advance.EVERY for pad in "abc"}


def operands(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """`count` left operands [P, K] and right ones [K, Q]."""
    torch.manual_seed(seed)
    return torch.randn(count, P, K).half(), torch.randn(count, K, Q).half()


def put(image: Image, a: Tensor, b: Tensor, results: int) -> tuple[int, int, int]:
    """Addresses of left operands, right operands, and room for results."""
    rows = np.concatenate([operand_rows(TINY, each, DENSE)[0] for each in b])
    return image.put(to_bytes(a)), image.put(rows), image.room(results * C_BYTES)


def result(memory: np.ndarray, address: int) -> Tensor:
    """A stored result [P, Q]."""
    sums = memory[address : address + C_BYTES].copy().view(np.float32)
    return torch.from_numpy(sums).reshape(P, Q)


@pytest.fixture(params=["as it is", "reversed", "store first"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An order in which the engines are served."""
    names = list(ENGINES)
    if request.param == "reversed":
        names.reverse()
    if request.param == "store first":
        names.sort(key=lambda name: name.name, reverse=True)
    monkeypatch.setattr("sparsat.sim.functional.engines.ENGINES", {n: ENGINES[n] for n in names})
    return request.param


@pytest.mark.parametrize("n_m", [(2, 8), (3, 4), (5, 16), (8, 8)])
def test_pruned_on_the_way_in_is_packed(n_m: tuple[int, int]) -> None:
    """Small integers tie often: the lower index has to win, in each column by itself."""
    pattern = NMPattern(*n_m)
    torch.manual_seed(2)
    a, b = torch.randn(P, K).half(), torch.randint(-3, 4, (K, TINY.cols)).half()
    image = Image(TINY)
    a_at, b_at, c_at = image.put(to_bytes(a)), image.put(to_bytes(b)), image.room(C_BYTES)
    m, n = pattern.m, pattern.n_keep
    log_m, slots = log_m_of(m), K // m
    program = [
        LoadA(address=a_at, lines=A_LINES),
        LoadB(address=b_at, lines=K * 8 // LINE, mode=Mode.PRUNE, n=n, log_m=log_m),
        replace(
            EXEC,
            n=n,
            log_m=log_m,
            q_blocks=1,
            groups=slots,
            k=slots,
            k0_a=m,
            k0_count=slots,
            b_k0=n,
            c_p=1,
        ),
        replace(STORE, address=c_at, rows=P),
        Halt(),
    ]
    memory = image.memory()
    run(TINY, program, memory)
    expected = gemm_packed(a, *pattern.pack(b, dim=0), m)
    got = memory[c_at : c_at + P * TINY.cols * 4].copy().view(np.float32)
    assert torch.equal(torch.from_numpy(got).reshape(P, -1), expected)


def test_segments() -> None:
    """Both halves of A's rows and of B's columns are gathered in reverse, with B's indices."""
    pattern = NMPattern(2, 8)
    torch.manual_seed(2)
    a, b = torch.randn(P, K).half(), torch.randn(K, 2 * Q).half()
    values, indices = operand_rows(TINY, b, pattern)
    image = Image(TINY)
    a_at, b_at, i_at = image.put(to_bytes(a)), image.put(values), image.put(indices)
    c_at = image.room(2 * C_BYTES)
    program = [
        LoadA(address=a_at + P * K, segments=2, segment_stride=-P * K, lines=A_LINES // 2),
        LoadB(address=b_at + 4 * LINE, segments=2, segment_stride=-4 * LINE, lines=4,
              index_address=i_at + LINE, index_segment_stride=-LINE, index_lines=1),
        replace(EXEC, n=2, q_blocks=2 * BLOCKS, tiles_q=BLOCKS, b_k0=2, q0_count=4096, b_q0=K // 4,
                c_p=2 * BLOCKS),
        replace(STORE, address=c_at, rows=2 * P * BLOCKS),
        Halt(),
    ]  # fmt: skip
    memory = image.memory()
    run(TINY, program, memory)
    got = torch.from_numpy(memory[c_at : c_at + 2 * C_BYTES].copy().view(np.float32))
    expected = gemm_packed(a, *pattern.pack(b, dim=0), 8).roll((P // 2, Q), (0, 1))
    assert torch.equal(got.reshape(P, 2 * Q), expected)


def test_halves_alternate(order: str) -> None:
    """Five independent chunks through both halves of all scratchpads."""
    a, b = operands(5)
    image = Image(TINY)
    a_at, b_at, c_at = put(image, a, b, 5)
    program = [
        LoadA(address=a_at, lines=A_LINES, inner=5, inner_stride=P * K * 2),
        LoadB(address=b_at, lines=B_LINES, inner=5, inner_stride=K * Q * 2),
        replace(EXEC, inner=5, **EVERY),
        replace(STORE, address=c_at, inner=5, inner_stride=C_BYTES),
        Halt(),
    ]
    memory = image.memory()
    run(TINY, program, memory)
    for i in range(5):
        assert torch.equal(result(memory, c_at + i * C_BYTES), gemm(a[i], b[i])), i


def test_a_chained_reduction(order: str) -> None:
    """Per o one result over three pieces of k; A advances with each piece, B is loaded once."""
    a, _ = operands(6)
    _, b = operands(3)
    image = Image(TINY)
    a_at, b_at, c_at = put(image, a, b, 2)
    program = [
        LoadA(address=a_at, lines=A_LINES, outer=2, outer_stride=3 * P * K * 2, inner=3,
              inner_stride=P * K * 2),
        LoadB(address=b_at, lines=B_LINES, outer=2, inner=3, inner_stride=K * Q * 2),
        replace(EXEC, outer=2, inner=3, chain=1, **EVERY | {"c_advance": Advance.OUTER}),
        replace(STORE, address=c_at, outer=2, outer_stride=C_BYTES),
        Halt(),
    ]  # fmt: skip
    memory = image.memory()
    run(TINY, program, memory)
    whole = torch.cat(tuple(b))
    for o in range(2):
        left = torch.cat(tuple(a[3 * o : 3 * o + 3]), 1)
        assert torch.equal(result(memory, c_at + o * C_BYTES), gemm(left, whole)), o


def test_held_halves_and_kept_sums(order: str) -> None:
    """Two EXECs on one half of A, each with its half of B, the second resumes the sums."""
    a, b = operands(2)
    image = Image(TINY)
    a_at, b_at, c_at = put(image, a[:1], b, 1)
    program = [
        LoadA(address=a_at, lines=A_LINES),
        LoadB(address=b_at, lines=B_LINES, inner=2, inner_stride=K * Q * 2),
        replace(EXEC, a_keep=1, c_keep=1),
        replace(EXEC, a_held=1, c_held=1, resume=1),
        replace(STORE, address=c_at),
        Halt(),
    ]
    memory = image.memory()
    run(TINY, program, memory)
    expected = gemm(a[0], b[1], gemm(a[0], b[0]))
    assert torch.equal(result(memory, c_at), expected)


def test_outer_steps_within_a_half() -> None:
    """o picks rows of A and B in halves that stay; each o gives a half of C."""
    a, b = operands(1)
    image = Image(TINY)
    a_at, b_at, c_at = put(image, a, b, 2)
    program = [
        LoadA(address=a_at, lines=A_LINES),
        LoadB(address=b_at, lines=B_LINES),
        replace(EXEC, outer=2, a_outer=P // 2 * K, b_outer=2 * K, c_advance=Advance.OUTER,
                p=P // 2, q_blocks=2, c_p=2),
        replace(STORE, address=c_at, outer=2, outer_stride=C_BYTES // 4, rows=P),
        Halt(),
    ]  # fmt: skip
    memory = image.memory()
    run(TINY, program, memory)
    got = memory[c_at : c_at + C_BYTES // 2].copy().view(np.float32).reshape(2, P // 2, Q // 2)
    expected = gemm(a[0], b[0])
    assert torch.equal(torch.from_numpy(got[0]), expected[: P // 2, : Q // 2])
    assert torch.equal(torch.from_numpy(got[1]), expected[P // 2 :, Q // 2 :])


def two_layers(image: Image) -> tuple[list[Instruction], Tensor, int, int]:
    """Program of Y = relu(X·W), by VECTOR 7, and Z = Y·V; the expected Z; addresses of Y and Z."""
    x, w = operands(1)
    _, v = operands(1, seed=2)
    x_at, w_at, z_at = put(image, x, w, 1)
    v_at, y_at = image.put(operand_rows(TINY, v[0], DENSE)[0]), image.room(P * Q * 2)
    second = replace(EXEC, groups=Q // 8, k=Q // 8, k0_count=Q // 8, r0_a=Q)
    after_store, after_vector = 1 << Sem.STORE_TO_VECTOR, 1 << Sem.VECTOR_TO_LOAD_A
    program = [
        LoadA(address=x_at, lines=A_LINES),
        LoadB(address=w_at, lines=B_LINES),
        EXEC,
        replace(STORE, address=y_at, wide=0, signal=after_store),
        Vector(op=7, wait=after_store, signal=after_vector),
        LoadA(address=y_at, lines=P * Q * 2 // LINE, wait=after_vector),
        LoadB(address=v_at, lines=B_LINES),
        second,
        replace(STORE, address=z_at),
        Halt(),
    ]
    y = torch.relu(gemm(x[0], w[0]).half())
    return program, gemm(y, v[0][:Q]), y_at, z_at


def test_semaphores_order_layers(order: str) -> None:
    image = Image(TINY)
    program, expected, y_at, z_at = two_layers(image)
    memory = image.memory()
    calls = []

    def relu(op: int, memory_: np.ndarray) -> None:
        calls.append(op)
        y = memory_[y_at : y_at + P * Q * 2].view(np.float16)
        y[:] = np.maximum(y, 0)

    run(TINY, program, memory, relu)
    assert calls == [7]
    assert torch.equal(result(memory, z_at), expected)


def test_nothing_runs_after_halt() -> None:
    memory = np.zeros(256, np.uint8)
    run(TINY, [Halt(), LoadA(address=1 << 20, lines=1)], memory)
    with pytest.raises(ValueError, match="no HALT"):
        run(TINY, [LoadA(lines=1)], memory)


GOOD = [LoadA(lines=A_LINES), LoadB(lines=B_LINES), EXEC, replace(STORE, rows=4)]
TURNED = LoadB(lines=1, mode=Mode.TRANSPOSE, tokens=2, channels=16)
ERRORS = [
    ([LoadA(address=1 << 20, lines=1)], r"instruction 0 \(LOAD_A\): RANGE: memory"),
    ([LoadA(address=LINE, inner=2, inner_stride=-2 * LINE, lines=1)], "RANGE: memory -64"),
    ([LoadA(lines=8192 // LINE + 1)], "RANGE: A values"),
    ([LoadB(lines=8192 // LINE + 1)], "RANGE: B rows"),
    ([LoadB(lines=1, mode=Mode.PRUNE, n=9, log_m=log_m_of(8))], "n_keep is 9"),
    ([replace(TURNED, tokens=3)], "FIELD: 3 tokens of 16 values do not end in the last line of 32"),
    ([replace(TURNED, lines=2)], "FIELD: 2 tokens of 16 values do not end in the last line of 64"),
    ([replace(TURNED, channels=0)], "FIELD: 2 tokens of 0 values do not end in the last line"),
    ([*GOOD[:2], replace(EXEC, a_base=1)], r"\(EXEC\): FIELD: a word of 8 values"),
    ([*GOOD[:2], replace(EXEC, a_base=-K)], "RANGE: A values -32"),
    ([*GOOD[:2], replace(EXEC, b_base=1023)], "RANGE: B rows"),
    ([*GOOD[:2], replace(EXEC, c_base=500)], "RANGE: C rows"),
    ([*GOOD[:2], replace(EXEC, a_held=1)], "FIELD: a_held is 1, but the EXEC before did not"),
    ([*GOOD[:2], replace(EXEC, b_keep=1), EXEC], "FIELD: b_held is 0, but the EXEC before kept"),
    ([*GOOD[:3], replace(STORE, rows=513)], r"instruction 3 \(STORE\): RANGE: C rows"),
    ([*GOOD[:3], replace(STORE, address=8, rows=1)], "FIELD: an address"),
    ([*GOOD[:3], replace(STORE, address=1 << 20, rows=1)], "RANGE: memory"),
    ([Vector(op=1)], "on_vector"),
    ([LoadA(lines=1, inner=3)], r"DEADLOCK: instruction 0 \(LOAD_A\) waits for A_FREE"),
    (
        [*GOOD, replace(STORE, wait=1 << Sem.VECTOR_TO_UPDATE)],
        r"instruction 4 \(STORE\) waits for VECTOR_TO_UPDATE",
    ),
    (
        [Vector(signal=1 << Sem.VECTOR_TO_UPDATE)] * 256,
        "SEMAPHORE: VECTOR_TO_UPDATE would pass 255",
    ),
]


@pytest.mark.parametrize(("program", "message"), ERRORS)
def test_errors(program: list[Instruction], message: str) -> None:
    memory = np.zeros(1 << 14, np.uint8)
    host = None if message == "on_vector" else lambda op, memory: None
    with pytest.raises(MachineError, match=message):
        run(TINY, [*program, Halt()], memory, host)


def test_reading_what_was_never_loaded_shows() -> None:
    program = [LoadA(lines=A_LINES), LoadB(lines=1), EXEC, STORE, Halt()]
    memory = np.zeros(1 << 14, np.uint8)
    run(TINY, program, memory)
    assert result(memory, 0).isnan().any()


def test_memory_is_bytes() -> None:
    with pytest.raises(TypeError, match="uint8"):
        run(TINY, [Halt()], np.zeros(4, np.uint16))
