"""The golden GEMM against exact rational arithmetic, bit for bit."""

import itertools
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsat.algo import golden
from sparsat.algo.patterns import NMPattern
from sparsat.hw.formats import BF16, FP16, FP32, FloatFormat

INF, NAN = "inf", "nan"
Number = Fraction | tuple[str, int] | str  # finite, (inf, sign), nan


def decode(bits: int, fmt: FloatFormat) -> Number:
    """The value of an encoding; zeros lose their sign, flushed subnormals are zero."""
    sign = -1 if bits >> (fmt.width - 1) else 1
    exponent = (bits >> fmt.frac_bits) & fmt.exp_max
    fraction = bits & ((1 << fmt.frac_bits) - 1)
    if exponent == fmt.exp_max:
        return NAN if fraction else (INF, sign)
    if exponent == 0:
        if not fmt.subnormals:
            return Fraction(0)
        exponent = 1
    else:
        fraction += 1 << fmt.frac_bits
    return sign * fraction * Fraction(2) ** (exponent - fmt.bias - fmt.frac_bits)


def sign_of(x: Number) -> int:
    if isinstance(x, tuple):
        return x[1]
    assert isinstance(x, Fraction)
    return 1 if x > 0 else -1


def multiply(a: Number, b: Number) -> Number:
    if NAN in (a, b):
        return NAN
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    if 0 in (a, b):
        return NAN
    return (INF, sign_of(a) * sign_of(b))


def add(a: Number, b: Number) -> Number:
    if NAN in (a, b):
        return NAN
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return round_binary32(a + b)
    infinities = {x for x in (a, b) if isinstance(x, tuple)}
    return infinities.pop() if len(infinities) == 1 else NAN


def round_binary32(x: Fraction) -> Number:
    """Nearest even at 24 bits with an unbounded exponent, then the range limits."""
    if x == 0:
        return x
    sign, magnitude = (-1 if x < 0 else 1), abs(x)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    ulp = Fraction(2) ** (exponent - 23)
    rounded = round(magnitude / ulp) * ulp  # Fraction rounds half to even
    if rounded < Fraction(2) ** -126:
        return Fraction(0)
    return (INF, sign) if rounded >= Fraction(2) ** 128 else sign * rounded


def encode_binary32(x: Number) -> int:
    if x == NAN:
        return FP32.quiet_nan
    if isinstance(x, tuple):
        return (FP32.exp_max << 23) | (0 if x[1] > 0 else 1 << 31)
    assert isinstance(x, Fraction)
    if x == 0:
        return 0
    exponent = 127
    while abs(x) >= 2:
        x, exponent = x / 2, exponent + 1
    while abs(x) < 1:
        x, exponent = x * 2, exponent - 1
    assert 0 < exponent < 255
    return (int(abs(x) * 2**23) - 2**23) | exponent << 23 | (1 << 31 if x < 0 else 0)


def reference(
    a: list[list[int]],
    b: list[list[int]],
    c: list[list[int]],
    mask: list[list[bool]],
    fmt: FloatFormat,
) -> list[list[int]]:
    rows, depth, columns = len(a), len(b), len(b[0])
    out = [[0] * columns for _ in range(rows)]
    for p, q in itertools.product(range(rows), range(columns)):
        acc = decode(c[p][q], FP32)
        for k in range(depth):
            if mask[k][q]:
                acc = add(acc, multiply(decode(a[p][k], fmt), decode(b[k][q], fmt)))
        out[p][q] = encode_binary32(acc)
    return out


def from_bits(bits: list[list[int]], fmt: FloatFormat) -> torch.Tensor:
    """Encodings to a float tensor; integers wrap to the signed storage type."""
    storage = torch.int32 if fmt is FP32 else torch.int16
    dtype = torch.float32 if fmt is FP32 else golden.DTYPES[fmt]
    half = 1 << (fmt.width - 1)
    return (
        torch.tensor([[(v + half) % (2 * half) - half for v in row] for row in bits])
        .to(storage)
        .view(dtype)
    )


def to_bits(x: torch.Tensor) -> list[list[int]]:
    return [[v & 0xFFFFFFFF for v in row] for row in x.view(torch.int32).tolist()]


def operand_bits(fmt: FloatFormat) -> list[int]:
    """Corners of a format: zeros, subnormals, ones, ties, largest, infinities, NaN; both signs."""
    one = fmt.bias << fmt.frac_bits
    top = fmt.exp_max << fmt.frac_bits
    positive = [0, 1, (1 << fmt.frac_bits) - 1, 1 << fmt.frac_bits, one, one + 1, one - 1]
    positive += [top - 1, top, top + 1, fmt.quiet_nan]
    return positive + [bits | 1 << (fmt.width - 1) for bits in positive]


def check(a, b, c, mask, fmt: FloatFormat) -> None:  # type: ignore[no-untyped-def]
    got = golden.gemm(
        from_bits(a, fmt), from_bits(b, fmt), from_bits(c, FP32), torch.tensor(mask), fmt
    )
    assert to_bits(got) == reference(a, b, c, mask, fmt)


def grid(draw, rows: int, columns: int):  # type: ignore[no-untyped-def]
    return [[draw() for _ in range(columns)] for _ in range(rows)]


def random_operand(rng: random.Random, fmt: FloatFormat, spread: int) -> int:
    """A corner, or random bits with the exponent within `spread` of one's."""
    if rng.random() < 0.1:
        return rng.choice(operand_bits(fmt))
    exponent = fmt.bias + rng.randint(-spread, spread)
    exponent = min(max(exponent, 0), fmt.exp_max - 1)
    return (
        rng.getrandbits(1) << (fmt.width - 1)
        | exponent << fmt.frac_bits
        | rng.getrandbits(fmt.frac_bits)
    )


@pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda f: f.name)
def test_all_corner_pairs_from_corner_accumulators(fmt: FloatFormat) -> None:
    corners = operand_bits(fmt)
    a = [[x] for x in corners]
    for start in operand_bits(FP32):
        c = [[start] * len(corners)] * len(corners)
        check(a, [corners], c, [[True] * len(corners)], fmt)


@pytest.mark.parametrize("spread", [2, 20, 300])
@pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda f: f.name)
def test_random_sums(fmt: FloatFormat, spread: int) -> None:
    rng = random.Random(f"{fmt.name}{spread}")
    for _ in range(15):
        rows, depth, columns = rng.randint(1, 4), rng.randint(0, 12), rng.randint(1, 4)
        a = grid(lambda: random_operand(rng, fmt, spread), rows, depth)
        b = grid(lambda: random_operand(rng, fmt, spread), depth, columns)
        c = grid(lambda: random_operand(rng, FP32, spread), rows, columns)
        mask = grid(lambda: rng.random() < 0.7, depth, columns)
        if depth == 0:
            continue
        check(a, b, c, mask, fmt)


@pytest.mark.parametrize(
    ("low", "high", "start"), [(57, 66, 0x00800000), (186, 195, 0x7F7FFFFF)], ids=["tiny", "huge"]
)
def test_bf16_sums_at_the_range_limits(low: int, high: int, start: int) -> None:
    """Products around 2^-126 and 2^128, from accumulators at either limit."""
    rng = random.Random(low)

    def operand() -> int:
        return rng.getrandbits(1) << 15 | rng.randint(low, high) << 7 | rng.getrandbits(7)

    for _ in range(60):
        a, b = grid(operand, 2, 8), grid(operand, 8, 2)
        c = grid(lambda: start | rng.getrandbits(1) << 31, 2, 2)
        check(a, b, c, [[True] * 2] * 8, BF16)


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (2.0**-152, 2.0**-126),  # nearer to the smallest normal
        (2.0**-151, 2.0**-126),  # a tie at 24 bits, to the even 2^-126
        (2.0**-150, 0.0),  # exact at 24 bits and below the normal range
    ],
)
def test_tininess_is_judged_after_rounding(product: float, expected: float) -> None:
    a, b = torch.tensor([[-product * 2.0**80]]), torch.tensor([[2.0**-80]])
    got = golden.gemm(a.bfloat16(), b.bfloat16(), torch.tensor([[2.0**-126]]), fmt=BF16)
    assert got.item() == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([(2, 8), (1, 4), (3, 8), (2, 16), (8, 8)]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_packed_equals_masked_and_zeroed(seed: int, kept: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    pattern = NMPattern(*kept)
    a = torch.randn(5, 3 * pattern.m, generator=generator).half()
    b = torch.randn(3 * pattern.m, 4, generator=generator).half()
    c = torch.randn(5, 4, generator=generator)
    packed = golden.gemm_packed(a, *pattern.pack(b, 0), pattern.m, c)
    assert torch.equal(packed, golden.gemm(a, b, c, pattern.mask(b, 0)))
    assert torch.equal(packed, golden.gemm(a, pattern.prune(b, 0), c))


def test_a_split_sum_resumes_to_the_same_bits() -> None:
    generator = torch.manual_seed(1)
    a, b = torch.randn(9, 32, generator=generator).half(), torch.randn(32, 7).half()
    whole, start = golden.gemm(a, b), torch.full((9, 7), 0.5)
    golden.gemm(a, b, start)
    assert torch.equal(start, torch.full((9, 7), 0.5))
    assert torch.equal(golden.gemm(a[:, 20:], b[20:], golden.gemm(a[:, :20], b[:20])), whole)


def test_threads_do_not_change_bits() -> None:
    a, b = torch.randn(200, 64).half(), torch.randn(64, 50).half()
    single = golden.gemm(a, b)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(golden.gemm(a, b), single)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": torch.zeros(2, 8)}, TypeError, "a is torch.float32; allowed: torch.float16"),
        ({"a": torch.zeros(2, 7).half()}, ValueError, r"a is \(2, 7\); allowed: \[P, 8\]"),
        ({"c": torch.zeros(3, 2)}, ValueError, r"c is \(3, 2\); allowed: \(2, 4\)"),
        ({"c": torch.zeros(2, 4).half()}, TypeError, "c is torch.float16"),
        ({"mask": torch.ones(4, 8).bool()}, ValueError, "mask is"),
        ({"mask": torch.ones(8, 4)}, TypeError, "mask is torch.float32; allowed: torch.bool"),
        ({"fmt": FP32}, ValueError, "fmt is fp32; allowed: fp16 or bf16"),
    ],
)
def test_bad_arguments_are_named(change: dict, error: type[Exception], message: str) -> None:
    arguments = {"a": torch.zeros(2, 8).half(), "b": torch.zeros(8, 4).half()} | change
    with pytest.raises(error, match=message):
        golden.gemm(**arguments)


def test_empty_depth_returns_the_start() -> None:
    a, b = torch.zeros(2, 0).half(), torch.zeros(0, 3).half()
    assert torch.equal(golden.gemm(a, b), torch.zeros(2, 3))
