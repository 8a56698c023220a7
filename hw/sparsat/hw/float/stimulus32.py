"""Inputs for the binary32 units and the weight update (see `sparsat.hw.float.stimulus`)."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from sparsat.hw.float.stimulus import (
    Fraction,
    Rng,
    Stratum,
    Vectors,
    compose,
    corners,
    dense_fraction,
    grid,
    moved,
    sparse_fraction,
)
from sparsat.hw.formats import FP32, FloatFormat
from sparsat.hw.wuve import FACTORS

NUMBERS = ("gradient", "weight", "momentum")


def pair_corners() -> Vectors:
    """All pairs of corner words."""
    return grid(a=corners(FP32), b=corners(FP32))


def multiply_strata() -> list[Stratum]:
    """Strata of `a · b`.

    uniform, special
        Bit patterns; words half of which are corners.
    whole, sparse
        Finite products of any size, of dense significands and of ones of few ones or few zeros.
    short
        Significands of about half the bits, so that products are often halfway between two words.
    low, low short, high
        Products about 2**-126 and 2**128.
    """
    low, high = (-129, -123), (125, 130)
    return [
        *(partial(_uniform, ("a", "b")), partial(_special, ("a", "b"))),
        *(partial(_factors, (-130, 130), of) for of in (dense_fraction, sparse_fraction, _short)),
        *(partial(_factors, low, of) for of in (dense_fraction, _short)),
        partial(_factors, high, sparse_fraction),
    ]


def add_strata() -> list[Stratum]:
    """Strata of `a + b`.

    uniform, special
        Bit patterns; words half of which are corners.
    swept, sparse
        Exponents up to 40 apart; significands dense, or of few ones or few zeros.
    cancelling
        b near -a: up to 2**16 units in the last place away, smaller distances likelier.
    low, low cancelling, high
        Of terms near the smallest and the greatest normal numbers.
    """
    whole, low, high = (1, 254), (1, 26), (250, 254)
    return [
        *(partial(_uniform, ("a", "b")), partial(_special, ("a", "b"))),
        *(partial(_swept, whole, of) for of in (dense_fraction, sparse_fraction)),
        partial(_cancelling, whole),
        partial(_swept, low, sparse_fraction),
        partial(_cancelling, low),
        partial(_swept, high, sparse_fraction),
    ]


def update_corners() -> Vectors:
    """Corner words in all places, 100,000 choices."""
    rng, count = np.random.default_rng(0), 100_000
    words = {port: rng.choice(corners(FP32), count) for port in (*NUMBERS, *FACTORS)}
    return {**words, "masked": rng.integers(2, size=count, dtype=np.uint8)}


def update_strata() -> list[Stratum]:
    """Strata of the weight update.

    uniform, special
        Bit patterns; words half of which are corners.
    near, sparse
        All of about the same size, so that each operation tells in the result.
    low, high
        The same near the smallest and the greatest normal numbers, with factors about 1.
    """
    ports = (*NUMBERS, *FACTORS)
    plain = [
        *(partial(_uniform, ports), partial(_special, ports)),
        *(partial(_near, 127, 6, of) for of in (dense_fraction, sparse_fraction)),
        *(partial(_near, 8, 6, dense_fraction), partial(_near, 250, 4, dense_fraction)),
    ]

    def masked(stratum: Stratum, rng: Rng, count: int) -> Vectors:
        return {**stratum(rng, count), "masked": rng.integers(2, size=count, dtype=np.uint8)}

    return [partial(masked, stratum) for stratum in plain]


def _uniform(ports: Sequence[str], rng: Rng, count: int) -> Vectors:
    return {port: rng.integers(1 << 32, size=count, dtype=np.uint32) for port in ports}


def _special(ports: Sequence[str], rng: Rng, count: int) -> Vectors:
    return {
        port: np.where(rng.integers(2, size=count), rng.choice(corners(FP32), count), words)
        for port, words in _uniform(ports, rng, count).items()
    }


def _factors(span: tuple[int, int], fraction: Fraction, rng: Rng, count: int) -> Vectors:
    """Finite a and b of which the exponents add up to one within `span`."""
    fields = rng.integers(span[0], span[1] + 1, count) + 2 * FP32.bias
    exp_a = rng.integers((fields - 254).clip(1), (fields - 1).clip(1, 254) + 1)
    return {
        "a": compose(FP32, rng, exp_a, fraction(FP32, rng, count)),
        "b": compose(FP32, rng, (fields - exp_a).clip(1, 254), fraction(FP32, rng, count)),
    }


def _short(fmt: FloatFormat, rng: Rng, count: int) -> np.ndarray:
    """Fractions whose low bits are zero, from 10 to 13 of them."""
    keep = -1 << rng.integers(10, 14, size=count)
    return dense_fraction(fmt, rng, count) & keep


def _swept(span: tuple[int, int], fraction: Fraction, rng: Rng, count: int) -> Vectors:
    exp_a = rng.integers(span[0], span[1] + 1, count)
    exp_b = (exp_a + rng.integers(-40, 41, count)).clip(1, 254)
    return {
        port: compose(FP32, rng, exp, fraction(FP32, rng, count))
        for port, exp in (("a", exp_a), ("b", exp_b))
    }


def _cancelling(span: tuple[int, int], rng: Rng, count: int) -> Vectors:
    exp = rng.integers(span[0], span[1] + 1, count)
    a = compose(FP32, rng, exp, dense_fraction(FP32, rng, count))
    reach = 1 << rng.integers(17, size=count)
    return {"a": a, "b": moved(a ^ np.uint32(1 << 31), rng, reach)}


def _near(exp: int, reach: int, fraction: Fraction, rng: Rng, count: int) -> Vectors:
    """Numbers about 2**(exp - 127), factors about 1."""

    def about(middle: int) -> np.ndarray:
        exps = rng.integers(middle - reach, middle + reach + 1, count).clip(1, 254)
        return compose(FP32, rng, exps, fraction(FP32, rng, count))

    return {port: about(exp) for port in NUMBERS} | {port: about(FP32.bias) for port in FACTORS}
