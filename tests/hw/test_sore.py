"""SORE against `NMPattern.pack`: in Amaranth's simulator with stalls, and compiled without."""

import random

import numpy as np
import pytest
import torch
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blocks import simulate
from sparsat.algo.golden import DTYPES
from sparsat.algo.patterns import NMPattern
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.formats import BF16, FP16, FloatFormat
from sparsat.hw.resources import estimate
from sparsat.hw.sore import SORE
from sparsat.hw.sore_lane import SORELane
from sparsat.hw.tools.streaming import VectorHarness
from streams import get, join, put

PATTERNS = [NMPattern(n, m) for m in NMPattern.sizes for n in range(1, m + 1)]
TINY = preset("tiny")


def groups_of_bits(rng, fmt: FloatFormat, shape: tuple[int, ...]) -> np.ndarray:
    """Operand bits: any, or few different magnitudes, or near infinity, so that many tie."""
    bits = rng.integers(1 << fmt.width, size=shape, dtype=np.uint16)
    few = rng.choice(np.array([0, 1, 2, 0x3C00, 0x3C01], np.uint16), shape)
    top = fmt.exp_max << fmt.frac_bits
    special = rng.choice(np.array([top - 1, top, top + 1, 0x7FFF], np.uint16), shape)
    sign = rng.integers(2, size=shape, dtype=np.uint16) << 15
    kind = rng.integers(4, size=(*shape[:-2], 1, shape[-1]))
    tied, extreme = few | sign, np.where(rng.integers(2, size=shape), special, few) | sign
    return np.where(kind < 2, bits, np.where(kind == 2, tied, extreme))


def packed(rows: np.ndarray, pattern: NMPattern, fmt: FloatFormat) -> list[np.ndarray]:
    """Kept values and indices, each [..., n, cols], of rows [..., m, cols]."""
    tensor = torch.from_numpy(rows.view(np.int16)).view(DTYPES[fmt])
    values, indices = pattern.pack(tensor, dim=-2)
    kept = [values.view(torch.int16).numpy().view(np.uint16), indices.numpy()]
    return [
        x.reshape(*rows.shape[:-2], rows.shape[-1], pattern.n_keep).swapaxes(-1, -2) for x in kept
    ]


def run(config: SATConfig, patterns: list[NMPattern], seed: int, stalls: tuple[float, float]):
    """A stream of one group for each pattern."""
    rng, lanes = np.random.default_rng(seed), config.sore_lanes
    dut, sent, expected = SORE(config=config), [], []
    for pattern in patterns:
        rows = groups_of_bits(rng, config.fmt, (pattern.m, config.cols))
        for word in rows.reshape(-1, lanes).tolist():
            sent.append(
                {"values": join(word, 16), "n": pattern.n_keep, "log_m": log_m_of(pattern.m)}
            )
        kept = [x.reshape(-1, lanes).tolist() for x in packed(rows, pattern, config.fmt)]
        widths = (16, config.index_bits)
        expected += [tuple(map(join, pair, widths)) for pair in zip(*kept, strict=True)]
    got: list = []
    ends = (random.Random(seed), random.Random(seed + 1))
    simulate(
        dut,
        put(dut.i, sent, ends[0], stalls[0]),
        get(dut.o, len(expected), ends[1], stalls[1], got),
    )
    assert [(word["values"], word["indices"]) for word in got] == expected


CONFIGS = {
    "row": TINY,
    "half_row": TINY.with_(sore_lanes=2, fmt=BF16),
    "third_row": TINY.with_(cols=3, sore_lanes=1, wuve_lanes=1),
    "m8": TINY.with_(m_max=8),
}


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.5, 0.1), (0.1, 0.6)], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_pattern_keeps_what_pack_keeps(name, stalls):
    config = CONFIGS[name]
    patterns = [p for p in PATTERNS if p.m <= config.m_max]
    rng = random.Random(5)
    run(config, rng.sample(patterns, len(patterns)), 7, stalls)


class Cycles(wiring.Component):
    """SORE with an output that is never held up, for the vector harness: cycles are the vectors."""

    latency = 0
    valid: In(1)
    values: In(16 * TINY.cols)
    n: In(5)
    log_m: In(2)
    ready: Out(1)
    o_valid: Out(1)
    o_values: Out(16 * TINY.cols)
    o_indices: Out(4 * TINY.cols)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sore = sore = SORE(config=TINY)
        i, o = sore.i, sore.o
        m.d.comb += [
            *(i.valid.eq(self.valid), self.ready.eq(i.ready)),
            *(i.payload["n"].eq(self.n), i.payload["log_m"].eq(self.log_m)),
            i.payload["values"].eq(self.values),
            *(o.ready.eq(1), self.o_valid.eq(o.valid)),
            self.o_values.eq(o.payload["values"]),
            self.o_indices.eq(o.payload["indices"]),
        ]
        return m


@pytest.fixture(scope="module")
def compiled() -> VectorHarness:
    return VectorHarness(Cycles(), "sore")


def clock(harness: VectorHarness, rows: np.ndarray, pattern: NMPattern, valid: np.ndarray):
    """The harness' outputs, one row offered in each cycle that is `valid`, 64 cycles at the end."""
    values = np.zeros(len(valid) + 64, np.uint64)
    values[np.flatnonzero(valid)] = rows.reshape(-1, TINY.cols).view(np.uint64)[:, 0]
    of_all = {"n": pattern.n_keep, "log_m": log_m_of(pattern.m)}
    fixed = {name: np.full(len(values), number, np.uint8) for name, number in of_all.items()}
    return harness.run(valid=np.append(valid, np.zeros(64, bool)), values=values, **fixed)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_many_groups_and_not_one_pause(compiled, pattern):
    rng = np.random.default_rng(pattern.n_keep)
    rows = groups_of_bits(rng, FP16, (20_000 // pattern.m, pattern.m, TINY.cols))
    valid = np.ones(2 * rows.shape[0] * pattern.m, bool)
    valid[len(valid) // 4 : -len(valid) // 4] = False  # a rest, then rows at random times
    rng.shuffle(valid[len(valid) // 4 :])
    out = clock(compiled, rows, pattern, valid)
    assert out["ready"].all()
    kept = out["o_valid"] == 1
    values, indices = packed(rows, pattern, FP16)
    np.testing.assert_array_equal(out["o_values"][kept].view(np.uint16), values.reshape(-1))
    indices = indices.reshape(-1, TINY.cols).astype(np.uint16)
    joined = sum(indices[:, c] << 4 * c for c in range(TINY.cols))
    np.testing.assert_array_equal(out["o_indices"][kept], joined)


@pytest.mark.parametrize("pattern", [NMPattern(1, 4), NMPattern(16, 16)], ids=str)
def test_a_group_leaves_after_the_latency(compiled, pattern):
    rows = np.ones((1, pattern.m, TINY.cols), np.uint16)
    out = clock(compiled, rows, pattern, np.ones(pattern.m, bool))
    leaves = np.flatnonzero(out["o_valid"])
    np.testing.assert_array_equal(leaves, pattern.m - 1 + SORE.latency + np.arange(pattern.n_keep))


def test_a_lane_keeps_within_its_budget():
    lane = estimate("sore_lane", SORELane(config=preset("vcu1525")))
    assert lane.resources.lut <= 300
    assert lane.path.delay_ps <= 3200
