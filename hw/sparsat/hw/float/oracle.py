"""What the floating-point units must answer, worked out without any of their logic.

Two oracles for each unit. The first is vectorised in numpy, and each function says why it is
exact. The second, `reference_*`, takes one vector at a time through MPFR (gmpy2), with nothing but
`struct` between words and numbers; it is there to check the first.

Numbers go in and come out as their bits. The rules of the hardware, where IEEE 754 leaves or is
left a choice:

* every NaN that comes out is the canonical quiet NaN of its format;
* bfloat16 subnormals are read as zeros, of their sign where a sign can be seen;
* a summand that is subnormal or -0 is read as +0, and no sum is -0;
* a sum with a bfloat16 product is rounded as if exponents had no bounds: below 2**-126 it is then
  +0, from 2**128 on it is infinite.
"""

import struct
from functools import lru_cache

import gmpy2
import numpy as np

from sparsat.hw.formats import FP16, FP32, FloatFormat

_SIGN = 1 << 31
_INFINITY = FP32.exp_max << FP32.frac_bits
_DOUBLE_DROP = 52 - FP32.frac_bits
"""Fraction bits that binary64 has and binary32 has not."""


def widen(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    """Operand words as binary32: every operand is one, so nothing is rounded."""
    return _canonical(values(fmt, words).view(np.uint32))


def narrow(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    """binary32 rounded to an operand format, to nearest even.

    For binary16 numpy's conversion is that rounding. For bfloat16, whose words are the upper
    halves of binary32 words, it is an integer one: adding just under half, or half where the part
    kept is odd, carries into the upper half exactly when the number must go up.
    """
    nan = (words & ~np.uint32(_SIGN)) > _INFINITY
    if fmt == FP16:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            rounded = words.view(np.float32).astype(np.float16).view(np.uint16)
    else:
        bits = _flush(words)
        rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(nan, np.uint16(fmt.quiet_nan), rounded)


def multiply_accumulate(
    fmt: FloatFormat, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """`c + a · b` in binary32, rounded once."""
    summand = np.where(c & _INFINITY, c, np.uint32(0)).view(np.float32)
    add = _add_fp16_product if fmt == FP16 else _add_bf16_product
    with np.errstate(over="ignore", invalid="ignore"):
        total = add(values(fmt, a), values(fmt, b), summand)
    return _canonical((total + np.float32(0)).view(np.uint32))  # -0 + 0 = +0


def round_trip(words: np.ndarray) -> np.ndarray:
    """binary32 as an accumulator holds it: no subnormals, no -0, one NaN."""
    return _canonical(np.where(words & _INFINITY, words, np.uint32(0)))


def values(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    """Operand words as float32 numbers, exactly."""
    if fmt == FP16:
        with np.errstate(invalid="ignore"):  # signalling NaN
            return words.astype(np.uint16).view(np.float16).astype(np.float32)
    return _flush(words.astype(np.uint32) << 16).view(np.float32)


def _add_fp16_product(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The product needs 22 bits and lies in 2**-48 .. 2**32: exact in float32, so only + rounds.

    No sum is subnormal: where |c| < 2**-49 the product outweighs it or is zero, and from there on
    c is a multiple of 2**-72, hence so is the sum.
    """
    return a * b + c


def _add_bf16_product(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The sum is rounded to odd in binary64 and then to 24 bits, which equals rounding once.

    The product (16 bits, 2**-252 .. 2**256) is exact in float64. Knuth's TwoSum gives its sum with
    c and, exactly, that sum's error. A sum with an error becomes the one of its two neighbours
    whose last bit is 1; as binary64 has more than two bits beyond binary32, the second rounding
    then sees every tie and every side of a tie as in the exact sum.
    """
    product, c = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    bits = total.view(np.uint64)
    inexact = np.isfinite(total) & (error != 0) & (bits & 1 == 0)
    away = np.signbit(error) == np.signbit(total)
    odd = np.where(inexact, np.where(away, bits + 1, bits - 1), bits)
    return _limit(_drop_to_binary32(odd))


def _drop_to_binary32(bits: np.ndarray) -> np.ndarray:
    """binary64 rounded to the significand of binary32, its exponent left as it is."""
    half = (1 << (_DOUBLE_DROP - 1)) - 1
    rounded = (bits + half + (bits >> _DOUBLE_DROP & 1)) >> _DOUBLE_DROP << _DOUBLE_DROP
    number = bits.view(np.float64)
    return np.where(np.isfinite(number), rounded.view(np.float64), number)


def _limit(total: np.ndarray) -> np.ndarray:
    """float64 of 24 bits as float32: zero below its normal range, infinite above."""
    return np.where(np.abs(total) < 2.0**-126, 0, total).astype(np.float32)


def _flush(bits: np.ndarray) -> np.ndarray:
    """binary32 with subnormals replaced by zeros of their sign."""
    return np.where(bits & _INFINITY, bits, bits & np.uint32(_SIGN))


def _canonical(bits: np.ndarray) -> np.ndarray:
    """binary32 with every NaN replaced by the canonical one."""
    nan = (bits & ~np.uint32(_SIGN)) > _INFINITY
    return np.where(nan, np.uint32(FP32.quiet_nan), bits)


_SINGLE = gmpy2.ieee(32)
_UNBOUNDED = gmpy2.context(precision=24)
_NARROW = {
    True: gmpy2.ieee(16),
    False: gmpy2.context(precision=8, emax=128, emin=-125),
}
"""Rounding contexts of the operand formats, by whether they have subnormals."""


def reference_widen(fmt: FloatFormat, word: int) -> int:
    """`widen` of one word."""
    return _encode(FP32, _decode(fmt, word))


def reference_narrow(fmt: FloatFormat, word: int) -> int:
    """`narrow` of one word; a binary32 subnormal counts as zero unless `fmt` has subnormals."""
    value = number(FP32, word)
    if not fmt.subnormals and abs(value) < 2.0**-126:
        value *= 0
    return _encode(fmt, _NARROW[fmt.subnormals].plus(gmpy2.mpfr(value)))


def reference_multiply_accumulate(fmt: FloatFormat, a: int, b: int, c: int) -> int:
    """`multiply_accumulate` of one vector: a fused multiply-add in MPFR.

    For binary16 in the context of binary32 with its subnormals and its bounds, because no rule of
    ours is needed there.
    """
    context = _SINGLE if fmt == FP16 else _UNBOUNDED
    total = context.fma(_decode(fmt, a), _decode(fmt, b), _summand(c))
    if fmt != FP16 and abs(total) < 2.0**-126:
        return 0
    if fmt != FP16 and abs(total) >= 2.0**128:
        total *= gmpy2.inf()
    return _encode(FP32, total) if total else 0


def reference_round_trip(word: int) -> int:
    """`round_trip` of one word."""
    number = _summand(word)
    return _encode(FP32, number) if number else 0


@lru_cache(1 << 17)
def _decode(fmt: FloatFormat, word: int) -> gmpy2.mpfr:
    """An operand word's number."""
    value = number(fmt, word)
    if not fmt.subnormals and abs(value) < 2.0**-126:
        value *= 0
    return gmpy2.mpfr(value)


def _summand(word: int) -> gmpy2.mpfr:
    value = number(FP32, word)
    return gmpy2.mpfr(0 if abs(value) < 2.0**-126 else value)


def number(fmt: FloatFormat, word: int) -> float:
    """The number a word stands for, subnormal or not."""
    if fmt == FP16:
        return struct.unpack("<e", struct.pack("<H", word))[0]
    return struct.unpack("<f", struct.pack("<I", word << 32 - fmt.width))[0]


def _encode(fmt: FloatFormat, number: gmpy2.mpfr) -> int:
    """The word of a number that `fmt` can represent."""
    if gmpy2.is_nan(number):
        return fmt.quiet_nan
    if fmt == FP16:
        return struct.unpack("<H", struct.pack("<e", float(number)))[0]
    return struct.unpack("<I", struct.pack("<f", float(number)))[0] >> 32 - fmt.width
