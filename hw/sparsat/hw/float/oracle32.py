"""What the binary32 units and the weight update must answer, by numpy and by MPFR.

As in `sparsat.hw.float.oracle`: words in, words out, and two ways that share nothing. The rules:
subnormals are read as zeros; a result is rounded to nearest even as if exponents had no bounds, and
is then +0 below 2**-126 and infinite from 2**128 on; there is no -0 and only one NaN.
"""

import struct
from collections.abc import Callable
from typing import Any

import gmpy2
import numpy as np

from sparsat.hw.float.oracle import number
from sparsat.hw.formats import FP32

Words = Any
"""Words as an array, or one as an int."""
Operation = Callable[[Words, Words], Words]

_SIGN, _INFINITY = 1 << 31, FP32.exp_max << FP32.frac_bits


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a · b`: exact in binary64, so converting rounds once, except to subnormals.

    The product is scaled out of their way; where it is small there, it is small.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exact = _values(a).astype(np.float64) * _values(b)
        low = np.abs(exact) < 1
        rounded = np.where(low, exact * 2.0**64, exact).astype(np.float32)
    tiny = low & (np.abs(rounded) < np.float32(2.0 ** (64 - 126)))
    scale = np.where(low, np.float32(2.0**-64), np.float32(1))
    return _words(np.where(tiny, np.float32(0), rounded * scale))


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a + b`: IEEE's sum, which is exact wherever it is subnormal."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _words(_values(a) + _values(b))


def _values(words: np.ndarray) -> np.ndarray:
    return np.where(words & _INFINITY, words, np.uint32(0)).view(np.float32)


def _words(values: np.ndarray) -> np.ndarray:
    words = values.astype(np.float32).view(np.uint32)
    words = np.where(words & _INFINITY, words, np.uint32(0))
    nan = (words & ~np.uint32(_SIGN)) > _INFINITY
    return np.where(nan, np.uint32(FP32.quiet_nan), words)


_UNBOUNDED = gmpy2.context(precision=24)


def reference_multiply(a: int, b: int) -> int:
    """`multiply` of one vector, in MPFR with 24 bits and no bounds."""
    return _encode(_UNBOUNDED.mul(_decode(a), _decode(b)))


def reference_add(a: int, b: int) -> int:
    """`add` of one vector, in MPFR with 24 bits and no bounds."""
    return _encode(_UNBOUNDED.add(_decode(a), _decode(b)))


def _decode(word: int) -> gmpy2.mpfr:
    value = number(FP32, word)
    return gmpy2.mpfr(0 if abs(value) < 2.0**-126 else value)


def _encode(value: gmpy2.mpfr) -> int:
    if gmpy2.is_nan(value):
        return FP32.quiet_nan
    if abs(value) < 2.0**-126:
        return 0
    if abs(value) >= 2.0**128:
        value *= gmpy2.inf()
    return struct.unpack("<I", struct.pack("<f", float(value)))[0]


def update(result: str, *words: np.ndarray) -> np.ndarray:
    """The new "weight" or "momentum" of one step for each element; see `_update`."""
    return _update(multiply, add, *words)[result]


def reference_update(result: str, *words: int) -> int:
    """`update` of one element."""
    return _update(reference_multiply, reference_add, *words)[result]


def _update(
    multiply: Operation,
    add: Operation,
    gradient: Words,
    weight: Words,
    momentum: Words,
    masked: Words,
    *factors: Words,
) -> dict[str, Words]:
    """The order of operations in docs/isa.md, of which either oracle has its own.

    `masked` is 1 where the masked decay applies, else 0. `factors` are the inverse scale, masked
    decay, decay, momentum factor and rate.
    """
    inverse_scale, masked_decay, decay, momentum_factor, rate = factors
    g = multiply(gradient, inverse_scale)
    decayed = add(g, multiply(masked_decay, weight))
    g = g ^ (g ^ decayed) * masked
    g = add(g, multiply(decay, weight))
    v = add(multiply(momentum_factor, momentum), g)
    return {"momentum": v, "weight": add(weight, multiply(rate, v) ^ _SIGN)}
