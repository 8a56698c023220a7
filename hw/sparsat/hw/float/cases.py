"""What is verified of the floating-point units, with which vectors, against which oracles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sparsat.hw.float import oracle, oracle32, stimulus, stimulus32
from sparsat.hw.float.add32 import Add32
from sparsat.hw.float.mac import MultiplyAccumulate
from sparsat.hw.float.multiply32 import Multiply32
from sparsat.hw.float.pack import Narrow
from sparsat.hw.float.probes import AccumulatorForms, RoundTrip, UpdateOf
from sparsat.hw.float.stimulus import Stratum, Vectors
from sparsat.hw.float.unpack import Widen
from sparsat.hw.formats import FP32, OPERAND_FORMATS, FloatFormat
from sparsat.hw.tools.streaming import Pipeline
from sparsat.hw.wuve import FACTORS


@dataclass(frozen=True)
class Case:
    """One component and what is tried on it.

    Parameters
    ----------
    unit : str
    component
        Makes what is tried; its output is `o`.
    fmt : FloatFormat
        Operand format.
    formats : dict of str to FloatFormat or None
        Format of `o` and of each input that the oracles take; None where it is no number.
    corners
        Makes the vectors that are always tried.
    strata
        Where random vectors come from; none if the corners are all the vectors there are.
    expected, reference
        The two oracles, functions of the inputs in `formats` in that order.
    """

    unit: str
    component: Callable[[], Pipeline]
    fmt: FloatFormat
    formats: dict[str, FloatFormat | None]
    corners: Callable[[], Vectors]
    strata: list[Stratum]
    expected: Callable[..., np.ndarray]
    reference: Callable[..., int]

    @property
    def name(self) -> str:
        return f"{self.unit}-{self.fmt.name}"

    def numbers(self, vectors: Vectors) -> list[np.ndarray]:
        """The inputs that the oracles take."""
        return [vectors[port] for port in self.formats if port != "o"]


def cases() -> dict[str, Case]:
    """All cases by name."""
    listed = [_round_trip(), _multiply32(), _add32(), _update("weight"), _update("momentum")]
    for fmt in OPERAND_FORMATS.values():
        listed += [_mac(fmt), _product(fmt), _accumulate(fmt), _narrow(fmt), _widen(fmt)]
    return {case.name: case for case in listed}


def _mac(fmt: FloatFormat) -> Case:
    return Case(
        unit="mac",
        component=partial(MultiplyAccumulate, fmt=fmt),
        fmt=fmt,
        formats={"a": fmt, "b": fmt, "c": FP32, "o": FP32},
        corners=partial(stimulus.mac_corners, fmt),
        strata=stimulus.mac_strata(fmt),
        expected=partial(oracle.multiply_accumulate, fmt),
        reference=partial(oracle.reference_multiply_accumulate, fmt),
    )


def _product(fmt: FloatFormat) -> Case:
    corners, strata = partial(stimulus.product_corners, fmt), stimulus.product_strata(fmt)
    return replace(_mac(fmt), unit="product", corners=corners, strata=strata)


def _accumulate(fmt: FloatFormat) -> Case:
    return replace(
        _mac(fmt),
        unit="accumulate",
        component=partial(AccumulatorForms, fmt=fmt),
        corners=partial(stimulus.form_corners, fmt),
        strata=stimulus.form_strata(fmt),
    )


def _narrow(fmt: FloatFormat) -> Case:
    return Case(
        unit="narrow",
        component=partial(Narrow, fmt=fmt),
        fmt=fmt,
        formats={"i": FP32, "o": fmt},
        corners=partial(stimulus.narrow_corners, fmt),
        strata=stimulus.narrow_strata(fmt),
        expected=partial(oracle.narrow, fmt),
        reference=partial(oracle.reference_narrow, fmt),
    )


def _widen(fmt: FloatFormat) -> Case:
    return Case(
        unit="widen",
        component=partial(Widen, fmt=fmt),
        fmt=fmt,
        formats={"i": fmt, "o": FP32},
        corners=partial(stimulus.every_word, fmt),
        strata=[],
        expected=partial(oracle.widen, fmt),
        reference=partial(oracle.reference_widen, fmt),
    )


def _round_trip() -> Case:
    return Case(
        unit="roundtrip",
        component=RoundTrip,
        fmt=FP32,
        formats={"i": FP32, "o": FP32},
        corners=lambda: {"i": stimulus.corners(FP32)},
        strata=stimulus.word_strata(),
        expected=oracle.round_trip,
        reference=oracle.reference_round_trip,
    )


def _multiply32() -> Case:
    return Case(
        unit="multiply",
        component=Multiply32,
        fmt=FP32,
        formats={"a": FP32, "b": FP32, "o": FP32},
        corners=stimulus32.pair_corners,
        strata=stimulus32.multiply_strata(),
        expected=oracle32.multiply,
        reference=oracle32.reference_multiply,
    )


def _add32() -> Case:
    return replace(
        _multiply32(),
        unit="add",
        component=Add32,
        strata=stimulus32.add_strata(),
        expected=oracle32.add,
        reference=oracle32.reference_add,
    )


def _update(result: str) -> Case:
    """The weight update; one of its two results."""
    numbers = dict.fromkeys(("gradient", "weight", "momentum"), FP32)
    return Case(
        unit=result,
        component=partial(UpdateOf, result=result),
        fmt=FP32,
        formats={**numbers, "masked": None, **dict.fromkeys(FACTORS, FP32), "o": FP32},
        corners=stimulus32.update_corners,
        strata=stimulus32.update_strata(),
        expected=partial(oracle32.update, result),
        reference=partial(oracle32.reference_update, result),
    )
