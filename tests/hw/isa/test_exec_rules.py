"""EXEC's addresses against the loops of docs/isa.md, in a machine with little room."""

import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sparsat.hw.config import preset
from sparsat.hw.isa.instructions import Exec, Halt
from sparsat.hw.isa.validate import validate

NARROW = preset("tiny").with_(rows=2, a_scratch_kib=1, b_scratch_kib=1, c_scratch_kib=1)
VALUES, B_ROWS, C_ROWS = 256, 64, 32


def mixed(x, *counts):
    return x % counts[0], x // counts[0] % counts[1], x // counts[0] // counts[1]


def reads_of_a(e, rows, k_entries):
    """(address, not in the padding) of each word of these entries of R and K."""
    loops = product(range(e.outer), range(e.inner), range(e.products0), range(e.products1))
    for o, i, p0, p1 in loops:
        for r, k in product(rows, k_entries):
            r0, r1, r2 = mixed(r, e.r0_count, e.r1_count)
            k0, k1, k2 = mixed(k, e.k0_count, e.k1_count)
            a = e.a_base + o * e.a_outer + i * e.a_inner + p0 * e.a_product0 + p1 * e.a_product1
            a += r0 * e.r0_a + r1 * e.r1_a + r2 * e.r2_a + k0 * e.k0_a + k1 * e.k1_a + k2 * e.k2_a
            y = e.y0 + o * e.y_outer + i * e.y_inner
            y += r1 * e.r1_y + r2 * e.r2_y + k1 * e.k1_y + k2 * e.k2_y
            x = e.x0 + r0 * e.r0_x + r1 * e.r1_x + k0 * e.k0_x + k1 * e.k1_x
            yield a, 0 <= y < e.height and 0 <= x < e.width


def reads_of_b(e, k_entries, blocks):
    for o, p0, p1 in product(range(e.outer), range(e.products0), range(e.products1)):
        for i, k, n, q in product(range(e.inner), k_entries, range(e.n), blocks):
            k0, k1, k2 = mixed(k, e.k0_count, e.k1_count)
            q0, q1, q2 = mixed(q, e.q0_count, e.q1_count)
            b = e.b_base + o * e.b_outer + p0 * e.b_product0 + p1 * e.b_product1
            b += k0 * e.b_k0 + k1 * e.b_k1 + k2 * e.b_k2 + n * e.b_n
            y = e.b_y0 + i * e.b_y_inner + k1 * e.b_k1_y + q2 * e.b_q2_y
            x = e.b_x0 + k0 * e.b_k0_x + q1 * e.b_q1_x
            if 0 <= y < e.b_height and 0 <= x < e.b_width:
                yield b + q0 * e.b_q0 + q1 * e.b_q1 + q2 * e.b_q2


def entries(e):
    """What the slots of a chunk go through: entries of R and K, rows and blocks of the output."""
    m = e.m
    rows, depth, outputs = set(), set(), set()
    for s, tp, g, r in product(*map(range, (e.passes, e.tiles_p, e.groups, NARROW.rows))):
        big_r, big_k = (g, s * NARROW.rows + r) if e.ws else (tp * NARROW.rows + r, g)
        outputs |= {big_r * e.ir + i for i in range(e.ir)}
        rows |= {big_r} if e.a_mn else {big_r * e.ir + i for i in range(e.ir)}
        depth |= {big_k * m + i for i in range(m)} if e.a_mn else {big_k}
    return (
        {r for r in rows if (r * e.ir if e.a_mn else r) < e.p},
        {k for k in depth if k < e.k},
        {p for p in outputs if p < e.p},
        {q for q in range(e.tiles_q * e.is_) if q < e.q_blocks},
    )


def writes_of_c(e, outputs, blocks):
    for p0, p1, p, q in product(range(e.products0), range(e.products1), outputs, blocks):
        yield e.c_base + p0 * e.c_product0 + p1 * e.c_product1 + p * e.c_p + q * e.c_q


def slow_verdict(e):
    """The first complaint, from all addresses one by one."""
    word = e.ir if e.a_mn else e.m
    rows, depth, outputs, blocks = entries(e)
    words = list(reads_of_a(e, rows, depth))
    if any(a % 16 + word > 16 for a, _ in words):
        return "a word"
    values = [v for a, there in words if there for v in (a, a + word - 1)]
    for field, addresses, size in (
        ("a_base", values, VALUES),
        ("b_base", list(reads_of_b(e, depth, blocks)), B_ROWS),
        ("c_base", list(writes_of_c(e, outputs, blocks)), C_ROWS),
    ):
        if addresses and (min(addresses) < 0 or max(addresses) >= size):
            return f"{field} {min(addresses)} to {max(addresses)}"
    return "sound"


A_STEPS = (
    *("a_outer", "a_inner", "a_product0", "a_product1"),
    *("r0_a", "r1_a", "r2_a", "k0_a", "k1_a", "k2_a"),
)
B_STEPS = (
    *("b_outer", "b_product0", "b_product1"),
    *("b_k0", "b_k1", "b_k2", "b_q0", "b_q1", "b_q2", "b_n"),
)
move, row = st.integers(-1, 1), st.integers(-3, 6)


@st.composite
def execs(draw):
    ws, a_mn = draw(st.booleans()), draw(st.booleans())
    n, log_m, is_ = draw(
        st.sampled_from([(2, 0, 2), (4, 1, 2), (8, 2, 1), *[(2, 2, 2)] * (not a_mn)])
    )
    ir = draw(st.sampled_from([1, 2, 4] if a_mn else [1, 2, 3]))
    word = ir if a_mn else 2 << log_m
    unit = draw(st.sampled_from([word] * 9 + [1]))
    a = {name: unit * draw(st.integers(-2, 5)) for name in A_STEPS}
    others = {
        name: draw(of)
        for of, names in (
            (st.integers(1, 3), "outer groups tiles_p tiles_q height width b_height b_width"),
            (st.integers(1, 3), "r0_count r1_count k0_count k1_count q0_count q1_count"),
            (st.integers(1, 2), "inner products0 products1"),
            (st.integers(1, 12), "p k"),
            (st.integers(1, 5), "q_blocks"),
            (move, "r0_x r1_x r1_y r2_y k0_x k1_x k1_y k2_y y_outer y_inner"),
            (move, "b_k0_x b_k1_y b_q1_x b_q2_y b_y_inner"),
            (st.integers(-2, 1), "y0 x0 b_y0 b_x0"),
            (row, " ".join(B_STEPS[:-1]) + " c_product0 c_product1 c_p c_q"),
            (st.integers(0, 40), "b_base"),
            (st.integers(0, 20), "c_base"),
        )
        for name in names.split()
    }
    if ws:
        others |= {"passes": draw(st.integers(1, 2)), "tiles_p": 1}
    return Exec(
        ws=ws, a_mn=a_mn, n=n, log_m=log_m, ir=ir, is_=is_, b_n=0 if a_mn else draw(move),
        a_base=16 * draw(st.integers(0, 14)), **a, **others,
    )  # fmt: skip


def verdict(e):
    try:
        validate(NARROW, [e, Halt()])
    except ValueError as error:
        text = re.sub(r".*(._base) is .* reaches (-?\d+ to -?\d+),.*", r"\1 \2", str(error))
        return "a word" if "aligned" in text else text
    return "sound"


FAR = -(1 << 20)


@settings(max_examples=300)
@given(execs(), st.sampled_from("abc "))
def test_exec_reaches_what_the_loops_do(e, far):
    """As drawn, or with one of the bases far off, so that its reach is compared."""
    if far == "a":
        e = replace(e, a_base=FAR)
    if far in ("b", "c"):
        e = replace(e, **dict.fromkeys(A_STEPS, 0), a_base=0, b_base=FAR)
    if far == "c":
        e = replace(e, **dict.fromkeys(B_STEPS, 0), b_base=0, c_base=-FAR)
    expected = slow_verdict(e)
    event(expected.split()[0])
    assert verdict(e) == expected


def test_passes_that_begin_within_words_need_their_time():
    """Eight rows of four values from the middle of a word on lie in three words, not in two."""
    x = Exec(
        ws=1, n=1, log_m=1, ir=4, is_=2, p=8, q_blocks=1, tiles_q=1, groups=2, passes=2, k=13,
        a_shared=1, k0_count=16, k0_a=4, k0_x=0,
    )  # fmt: skip
    for rows in (8, 12):
        validate(NARROW.with_(rows=rows), [x, Halt()])
    odd = NARROW.with_(rows=10)
    with pytest.raises(ValueError, match="least_period is 0, it must be at least 12: 10"):
        validate(odd, [x, Halt()])
    validate(odd, [replace(x, least_period=12), Halt()])
