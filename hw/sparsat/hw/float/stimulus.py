"""Inputs for the floating-point units: corner values, and random ones that reach the hard cases.

Bit patterns drawn uniformly hardly ever cancel, tie or meet the ends of a range, so random
vectors come in equal shares from *strata*, each of which aims at one of these.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sparsat.hw.float.oracle import values
from sparsat.hw.formats import FP16, FP32, FloatFormat

Rng = np.random.Generator
Vectors = dict[str, np.ndarray]
"""Input words by port name, all arrays of one length."""
Stratum = Callable[[Rng, int], Vectors]
Fraction = Callable[[FloatFormat, Rng, int], np.ndarray]


def corners(fmt: FloatFormat) -> np.ndarray:
    """Every combination of a sign, an exponent and a fraction at the edge of something.

    Zeros, the least and the greatest subnormals and normals, the neighbourhood of 1, numbers a
    significand's width from 1, infinities, and NaN, quiet and signalling.
    """
    top, bias, precision = fmt.exp_max, fmt.bias, fmt.frac_bits + 1
    exps = {0, 1, 2, bias - 1, bias, bias + 1, top - 2, top - 1, top}
    exps |= {e for e in (bias - precision, bias + precision) if 0 < e < top}
    half = 1 << (fmt.frac_bits - 1)
    return _combine(fmt, sorted(exps), (0, 1, half, 2 * half - 1))


def mac_corners(fmt: FloatFormat) -> Vectors:
    """All pairs of corner operands with all corner summands."""
    return grid(a=corners(fmt), b=corners(fmt), c=corners(FP32))


def product_corners(fmt: FloatFormat) -> Vectors:
    """All pairs of corner operands, added to +0."""
    return grid(a=corners(fmt), b=corners(fmt), c=np.zeros(1, np.uint32))


def narrow_corners(fmt: FloatFormat) -> Vectors:
    """Corners of binary32 and all points where rounding to `fmt` turns, with their neighbours."""
    low = np.arange(1 << (fmt.width - 1), dtype=np.uint32)
    turning = midpoints(fmt, np.concatenate([low, low | 1 << (fmt.width - 1)]))
    near = [turning + np.uint32(step) for step in (0, 1)] + [turning - np.uint32(1)]
    return {"i": np.concatenate([corners(FP32), *near])}


def every_word(fmt: FloatFormat) -> Vectors:
    """All the words of a format."""
    return {"i": np.arange(1 << fmt.width, dtype=np.uint32).astype(np.uint16)}


def draw(strata: Sequence[Stratum], rng: Rng, count: int) -> Vectors:
    """`count` vectors, in equal shares from each stratum."""
    shares = [len(part) for part in np.array_split(np.empty(count, np.bool), len(strata))]
    parts = [stratum(rng, share) for stratum, share in zip(strata, shares, strict=True)]
    return {port: np.concatenate([part[port] for part in parts]) for port in parts[0]}


def mac_strata(fmt: FloatFormat) -> list[Stratum]:
    """Strata of `c + a · b`.

    uniform
        Bit patterns.
    special
        Operands and summands half of which are corners: zeros, infinities, NaN.
    swept
        c's exponent 40 below to 40 above the product's, anywhere in the product's range.
    sparse
        The same with significands of few ones or few zeros: ties and long carries.
    cancelling
        c near -a · b: up to 2**16 units in the last place away, smaller distances likelier.
    low, low sparse, low cancelling
        Sums at the lower end: of subnormal factors for FP16, about 2**-126 for BF16.
    high, high cancelling
        Sums at the upper end: about 2**32 for FP16, 2**128 for BF16.
    """
    whole, low, low_sum, high = (-48, 32), (-52, -24), (-48, -24), (24, 33)
    if fmt != FP16:
        whole, low, low_sum, high = (-154, 130), (-154, -122), (-128, -104), (118, 130)
    return [
        partial(_uniform, fmt),
        partial(_special, fmt),
        partial(_swept, fmt, whole, dense_fraction),
        partial(_swept, fmt, whole, sparse_fraction),
        partial(_cancelling, fmt, whole),
        partial(_swept, fmt, low, dense_fraction),
        partial(_swept, fmt, low, sparse_fraction),
        partial(_cancelling, fmt, low_sum),
        partial(_swept, fmt, high, sparse_fraction),
        partial(_cancelling, fmt, high),
    ]


def product_strata(fmt: FloatFormat) -> list[Stratum]:
    """The strata of `mac_strata`, with c = +0."""

    def alone(stratum: Stratum, rng: Rng, count: int) -> Vectors:
        return {**stratum(rng, count), "c": np.zeros(count, np.uint32)}

    return [partial(alone, stratum) for stratum in mac_strata(fmt)]


def form_corners(fmt: FloatFormat) -> Vectors:
    """`mac_corners`, powers of two and +0 in the forms that a chain of sums has them in.

    See `AccumulatorForms`; -0 and subnormals come as a zero that is not fresh.
    """
    vectors = mac_corners(fmt)
    count = len(vectors["c"])
    return {
        **vectors,
        "twice": np.ones(count, np.uint8),
        "fresh": (vectors["c"] == 0).astype(np.uint8),
        "noise": _noise(np.random.default_rng(0), count),
    }


def form_strata(fmt: FloatFormat) -> list[Stratum]:
    """The strata of `mac_strata`, about a quarter of all c a power of two, an eighth fresh."""

    def formed(stratum: Stratum, rng: Rng, count: int) -> Vectors:
        vectors = stratum(rng, count)
        keep = np.where(rng.integers(4, size=count) == 0, np.uint32(0xFF800000), ~np.uint32(0))
        fresh = rng.integers(8, size=count) == 0
        return {
            **vectors,
            "c": np.where(fresh, np.uint32(0), vectors["c"] & keep),
            "twice": rng.integers(2, size=count, dtype=np.uint8),
            "fresh": fresh.astype(np.uint8),
            "noise": _noise(rng, count),
        }

    return [partial(formed, stratum) for stratum in mac_strata(fmt)]


def _noise(rng: Rng, count: int) -> np.ndarray:
    return rng.integers(1 << 36, size=count, dtype=np.uint64)


def narrow_strata(fmt: FloatFormat) -> list[Stratum]:
    """Strata of binary32 to `fmt`.

    uniform
        Bit patterns.
    in range
        Exponents from well below the least subnormal of `fmt` to just above its greatest number.
    ties
        Within two units in the last place of a point halfway between two numbers of `fmt`, or
        between its greatest and infinity.
    """

    def in_range(rng: Rng, count: int) -> Vectors:
        gap = FP32.bias - fmt.bias
        exp = rng.integers(gap - 26, gap + fmt.exp_max + 3, count).clip(0, FP32.exp_max)
        return {"i": compose(FP32, rng, exp, dense_fraction(FP32, rng, count))}

    def ties(rng: Rng, count: int) -> Vectors:
        words = rng.integers(1 << fmt.width, size=count, dtype=np.uint32)
        return {"i": moved(midpoints(fmt, words), rng, 2)}

    return [_uniform_word, in_range, ties]


def word_strata() -> list[Stratum]:
    """Strata of binary32: uniform bit patterns, and significands of few ones or few zeros."""

    def sparse(rng: Rng, count: int) -> Vectors:
        exp = rng.integers(FP32.exp_max + 1, size=count)
        return {"i": compose(FP32, rng, exp, sparse_fraction(FP32, rng, count))}

    return [_uniform_word, sparse]


def _uniform_word(rng: Rng, count: int) -> Vectors:
    return {"i": rng.integers(1 << 32, size=count, dtype=np.uint32)}


def _uniform(fmt: FloatFormat, rng: Rng, count: int) -> Vectors:
    a, b = rng.integers(1 << fmt.width, size=(2, count), dtype=np.uint16)
    return {"a": a, "b": b, "c": rng.integers(1 << 32, size=count, dtype=np.uint32)}


def _special(fmt: FloatFormat, rng: Rng, count: int) -> Vectors:
    vectors = _uniform(fmt, rng, count)
    for port, of in (("a", fmt), ("b", fmt), ("c", FP32)):
        chosen = rng.integers(2, size=count) == 1
        vectors[port] = np.where(chosen, rng.choice(corners(of), count), vectors[port])
    return vectors


def _swept(
    fmt: FloatFormat, span: tuple[int, int], fraction: Fraction, rng: Rng, count: int
) -> Vectors:
    a, b, exp = _factors(fmt, span, fraction, rng, count)
    exp = (exp + FP32.bias + rng.integers(-40, 41, count)).clip(1, FP32.exp_max - 1)
    return {"a": a, "b": b, "c": compose(FP32, rng, exp, fraction(FP32, rng, count))}


def _cancelling(fmt: FloatFormat, span: tuple[int, int], rng: Rng, count: int) -> Vectors:
    a, b, _ = _factors(fmt, span, dense_fraction, rng, count)
    with np.errstate(over="ignore", under="ignore"):
        product = (values(fmt, a).astype(np.float64) * values(fmt, b)).astype(np.float32)
    reach = 1 << rng.integers(17, size=count)
    return {"a": a, "b": b, "c": moved((-product).view(np.uint32), rng, reach)}


def _factors(
    fmt: FloatFormat, span: tuple[int, int], fraction: Fraction, rng: Rng, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finite a and b, and the exponent aimed at for their product, which lies within `span`.

    Where it takes subnormals to get that low, both are subnormal.
    """
    product = rng.integers(span[0], span[1] + 1, count)
    fields, top = product + 2 * fmt.bias, fmt.exp_max - 1
    exp_a = rng.integers((fields - top).clip(0, top), fields.clip(0, top) + 1)
    exp_b = (fields - exp_a).clip(0, top)
    a = compose(fmt, rng, exp_a, fraction(fmt, rng, count))
    b = compose(fmt, rng, exp_b, fraction(fmt, rng, count))
    return a, b, product


def dense_fraction(fmt: FloatFormat, rng: Rng, count: int) -> np.ndarray:
    return rng.integers(1 << fmt.frac_bits, size=count)


def sparse_fraction(fmt: FloatFormat, rng: Rng, count: int) -> np.ndarray:
    """Zero, one or two ones, or the complement of that."""
    first, second = 1 << rng.integers(fmt.frac_bits + 1, size=(2, count))
    return (first ^ second ^ -rng.integers(2, size=count)) & ((1 << fmt.frac_bits) - 1)


def compose(fmt: FloatFormat, rng: Rng, exp: np.ndarray, frac: np.ndarray) -> np.ndarray:
    """Words of these exponents and fractions, with random signs."""
    sign = rng.integers(2, size=len(exp))
    return (sign << (fmt.width - 1) | exp << fmt.frac_bits | frac).astype(f"u{fmt.width // 8}")


def moved(words: np.ndarray, rng: Rng, reach: np.ndarray | int) -> np.ndarray:
    """binary32 words moved by up to `reach` units in the last place."""
    return words + rng.integers(-reach, reach + 1, len(words)).astype(np.uint32)


def midpoints(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    """binary32 of the number halfway from each word's, as it stands, to the next larger in size.

    Of the greatest number that is the place from which all is rounded to infinity; of infinities
    and NaN it means nothing.
    """
    magnitude = (words & ((1 << (fmt.width - 1)) - 1)).astype(np.int64)
    exp, frac = magnitude >> fmt.frac_bits, magnitude & ((1 << fmt.frac_bits) - 1)
    significand = 2 * (frac + ((exp > 0) << fmt.frac_bits)) + 1
    number = np.ldexp(significand, np.maximum(exp, 1) - fmt.bias - fmt.frac_bits - 1)
    with np.errstate(over="ignore"):
        single = number.astype(np.float32).view(np.uint32)
    return single | (words >> (fmt.width - 1)).astype(np.uint32) << 31


def _combine(fmt: FloatFormat, exps: Sequence[int], fracs: Sequence[int]) -> np.ndarray:
    sign, exp, frac = np.meshgrid((0, 1), exps, fracs, indexing="ij")
    words = sign << (fmt.width - 1) | exp << fmt.frac_bits | frac
    return words.ravel().astype(f"u{fmt.width // 8}")


def grid(**words: np.ndarray) -> Vectors:
    """Every combination of the words given for each port."""
    arrays = np.meshgrid(*words.values(), indexing="ij")
    return {port: array.ravel() for port, array in zip(words, arrays, strict=True)}
