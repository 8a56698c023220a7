"""The floating-point units against the oracles, and the oracles against each other."""

import json
import sys

import numpy as np
import pytest
from amaranth.hdl import Const

from sparsat.hw.float import mac, oracle, stimulus, verify
from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.cases import cases
from sparsat.hw.float.verify import REFERENCED, Mismatch, Verification
from sparsat.hw.formats import BF16, FP16, FP32

CASES = cases()
FORMATS = pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda fmt: fmt.name)


@pytest.mark.parametrize("name", CASES)
def test_units_answer_as_the_oracles_do(name):
    case = CASES[name]
    result = Verification(case, vectors=50_000, seed=1, referenced=5_000).run()
    assert not result.mismatches, result.first[0].describe(case.formats)
    assert result.vectors == (50_000 if case.strata else 0)
    assert result.corners >= 88
    assert result.referenced >= 88


class NoSticky(Accumulate):
    """Forgets that something other than zero was shifted out."""

    def _normalise_and_round(self, m):
        self._sticky = Const(0, 2)
        super()._normalise_and_round(m)


class FlushesLate(Accumulate):
    """Keeps what lies below binary32's normal numbers."""

    def _limit(self, m, exp, doubled):
        super()._limit(m, exp + 1, doubled)


@pytest.mark.parametrize(("broken", "fmt"), [(NoSticky, FP16), (FlushesLate, BF16)])
def test_a_broken_unit_is_caught(monkeypatch, broken, fmt):
    monkeypatch.setattr(mac, "Accumulate", broken)
    case = CASES[f"mac-{fmt.name}"]
    result = Verification(case, vectors=50_000, referenced=1).run()
    assert result.mismatches > len(result.first) > 0
    assert {mismatch.source for mismatch in result.first} == {"hardware"}


@pytest.mark.parametrize("name", CASES)
def test_mpfr_sees_every_corner(name):
    corners = CASES[name].corners()
    assert 0 < len(next(iter(corners.values()))) <= REFERENCED


@pytest.mark.parametrize("vectors", [0, -1])
def test_a_run_of_no_vectors_is_an_error(vectors):
    with pytest.raises(ValueError, match=f"vectors is {vectors}"):
        Verification(CASES["narrow-fp16"], vectors)


@pytest.mark.parametrize(("vectors", "message"), [("0", "it is 0"), ("x", "'x'")])
def test_the_command_wants_vectors(monkeypatch, capsys, vectors, message):
    assert command(monkeypatch, "--vectors", vectors) == 2
    assert message in capsys.readouterr().err


def test_the_command_reports_what_it_ran(monkeypatch, capsys, tmp_path):
    report = tmp_path / "report.json"
    options = ("--vectors", "1000", "--unit", "roundtrip-fp32", "--json", str(report))
    assert command(monkeypatch, *options) == 0
    assert "roundtrip" in capsys.readouterr().out
    (unit,) = json.loads(report.read_text())["units"]
    assert (unit["unit"], unit["vectors"], unit["mismatches"]) == ("roundtrip", 1000, 0)


def test_the_command_fails_and_shows_mismatches(monkeypatch, capsys):
    monkeypatch.setattr(oracle, "round_trip", lambda words: words ^ np.uint32(1))
    assert command(monkeypatch, "--vectors", "1000", "--unit", "roundtrip-fp32") == 1
    assert "expected 0x00000001 (1.40129846e-45), got 0x00000000 (0)" in capsys.readouterr().out


def command(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["verify", *options])
    with pytest.raises(SystemExit) as stop:
        verify.main()
    return stop.value.code


def test_a_mismatch_shows_words_and_numbers():
    mismatch = Mismatch("hardware", {"a": 0x3C00, "noise": 5}, 0x3F800000, 0xBF800000)
    assert mismatch.describe({"a": FP16, "o": FP32}) == (
        "hardware: a 0x3c00 (1), noise 0x5, expected 0x3f800000 (1), got 0xbf800000 (-1)"
    )


@FORMATS
@pytest.mark.parametrize("strata", [stimulus.mac_strata, stimulus.product_strata])
def test_every_stratum_gets_the_same_sums_from_both_oracles(fmt, strata):
    for stratum in strata(fmt):
        vectors = stratum(np.random.default_rng(2), 500)
        words = [vectors[port] for port in "abc"]
        exact = [
            oracle.reference_multiply_accumulate(fmt, *vector)
            for vector in zip(*(w.tolist() for w in words), strict=True)
        ]
        np.testing.assert_array_equal(oracle.multiply_accumulate(fmt, *words), exact)


@FORMATS
def test_strata_reach_the_hard_cases(fmt):
    vectors = stimulus.draw(stimulus.mac_strata(fmt), np.random.default_rng(3), 20_000)
    a, b, c = (vectors[port] for port in "abc")
    total = oracle.multiply_accumulate(fmt, a, b, c)
    product = oracle.multiply_accumulate(fmt, a, b, np.zeros_like(c))
    of_total, of_c, of_product = ((word >> 23 & 255).astype(int) for word in (total, c, product))
    normal = (of_c % 255 != 0) & (of_product % 255 != 0)

    assert np.mean(normal & (total != 0) & (of_total < of_c - 8)) > 0.05  # mostly cancelled
    assert np.mean(normal & (total == 0)) > 0.001
    assert np.mean(normal & (abs(of_c - of_product) > 24)) > 0.1  # one term below the other
    assert np.mean(total == FP32.quiet_nan) > 0.005
    if fmt == BF16:
        opposite = product ^ 0x80000000
        assert np.mean(normal & (of_total == 255)) > 0.005  # a sum overflows
        assert np.mean(normal & (total == 0) & (c != opposite)) > 0.005  # a sum is flushed


@pytest.mark.parametrize(
    ("fmt", "a", "b", "c", "total"),
    [
        (FP16, 0x3C00, 0x3C00, 0xBF800000, 0x00000000),  # exact cancellation
        (FP16, 0x8000, 0x3C00, 0x80000000, 0x00000000),  # -0 + -0
        (FP16, 0x0001, 0x0001, 0x00000000, 0x27800000),  # 2**-24 squared
        (FP16, 0x0000, 0x3C00, 0x007FFFFF, 0x00000000),  # a subnormal summand
        (FP16, 0x3C00, 0x1000, 0x4B000000, 0x4B000000),  # below a quarter of the last place
        (FP16, 0x3800, 0x3C00, 0x4B000000, 0x4B000000),  # tie to even, down
        (FP16, 0x3800, 0x3C00, 0x4B000001, 0x4B000002),  # tie to even, up
        (FP16, 0x7C00, 0x0000, 0x3F800000, 0x7FC00000),  # infinity times zero
        (FP16, 0x7C00, 0x3C00, 0xFF800000, 0x7FC00000),  # infinity minus infinity
        (FP16, 0x7BFF, 0x7BFF, 0x7F7FFFFF, 0x7F7FFFFF),  # the greatest sum there is
        (BF16, 0x7F7F, 0x7F7F, 0x00000000, 0x7F800000),  # overflow
        (BF16, 0x7F00, 0xC000, 0x7F7FFFFF, 0xF3800000),  # a product of -2**128
        (BF16, 0x0080, 0x3F00, 0x00000000, 0x00000000),  # 2**-127
        (BF16, 0x007F, 0x7F00, 0x3F800000, 0x3F800000),  # a subnormal operand
        (BF16, 0x0080, 0xB300, 0x00800000, 0x00800000),  # rounds to 2**-126 from below
        (BF16, 0x0080, 0xB380, 0x00800000, 0x00000000),  # does not
    ],
)
def test_sums_worked_out_by_hand(fmt, a, b, c, total):
    words = (np.array([a], "u2"), np.array([b], "u2"), np.array([c], "u4"))
    assert oracle.multiply_accumulate(fmt, *words)[0] == total
    assert oracle.reference_multiply_accumulate(fmt, a, b, c) == total


@FORMATS
def test_rounding_undoes_widening(fmt):
    words = stimulus.every_word(fmt)["i"]
    again = oracle.narrow(fmt, oracle.widen(fmt, words))
    number = (words & 0x7FFF) <= fmt.exp_max << fmt.frac_bits
    if not fmt.subnormals:
        words = np.where(words & 0x7F80, words, words & 0x8000)
    np.testing.assert_array_equal(again, np.where(number, words, fmt.quiet_nan))


@FORMATS
def test_rounding_turns_halfway_between_neighbours(fmt):
    greatest = (fmt.exp_max << fmt.frac_bits) - 1
    least = 1 << fmt.frac_bits if not fmt.subnormals else 0
    words = np.arange(least, greatest, dtype=np.uint32)
    half = stimulus.midpoints(fmt, words)
    up = words + 1
    np.testing.assert_array_equal(oracle.narrow(fmt, half - np.uint32(1)), words)
    np.testing.assert_array_equal(oracle.narrow(fmt, half), np.where(words & 1, up, words))
    np.testing.assert_array_equal(oracle.narrow(fmt, half + np.uint32(1)), up)
