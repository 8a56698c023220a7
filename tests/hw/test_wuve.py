"""A lane of WUVE: as the machine's UPDATE does it, by hand, and what it costs.

The units tests try it on many more words (`sparsat.hw.float.cases`).
"""

import numpy as np
import pytest
import torch

from blocks import simulate
from machine_layout import Image
from sparsat.algo.golden import to_operand
from sparsat.algo.patterns import NMPattern
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import preset
from sparsat.hw.float import oracle32, stimulus32
from sparsat.hw.float.probes import UpdateOf
from sparsat.hw.float.stimulus import Vectors, draw
from sparsat.hw.formats import FP32
from sparsat.hw.isa.instructions import Halt, Update
from sparsat.hw.resources import estimate
from sparsat.hw.tools.streaming import VectorHarness
from sparsat.hw.wuve import FACTORS, WUVELane
from sparsat.sim.functional import run

# With as many columns as a block has rows, a tensor lies in memory as [taps, 16, 16].
SQUARE = preset("tiny").with_(cols=16)
TAPS = 24
PATTERN = NMPattern(2, 8)


def machines_update(vectors: Vectors, factors: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """New weights and momentum, as the functional machine leaves them in memory."""
    image, size = Image(SQUARE), 4 * TAPS * 16 * 16
    names = ("master", "momentum", "gradient")
    words = (vectors["weight"], vectors["momentum"], vectors["gradient"])
    at = {name: image.put(x.view(np.uint8)) for name, x in zip(names, words, strict=True)}
    results = ("new_master", "new_momentum")
    copies = ("forward", "backward", "forward_index", "backward_index")
    at |= {name: image.room(size) for name in (*results, *copies)}
    shape = {
        "n": PATTERN.n_keep,
        "log_m": log_m_of(PATTERN.m),
        "taps": TAPS,
        "in_blocks": 1,
        "out_blocks": 1,
    }
    memory = image.memory()
    run(SQUARE, [Update(**at, **shape, **factors, copies=1), Halt()], memory)
    planes = (memory[at[name] :][:size].view(np.uint32) for name in results)
    return next(planes), next(planes)


@pytest.mark.parametrize("seed", range(6))
def test_the_lane_does_what_the_machine_does(seed):
    rng, count = np.random.default_rng(seed), TAPS * 16 * 16
    stratum = stimulus32.update_strata()[seed]
    vectors = draw([stratum], rng, count)
    factors = {name: int(vectors[name][0]) for name in FACTORS}
    weights = torch.from_numpy(vectors["weight"].view(np.float32)).reshape(TAPS, 16, 16)
    flushed = torch.where(weights.abs() < FP32.smallest_normal, 0, weights)
    kept = PATTERN.mask(to_operand(flushed, SQUARE.fmt), dim=1)
    vectors |= {name: np.full(count, word, np.uint32) for name, word in factors.items()}
    vectors["masked"] = (~kept).numpy().reshape(-1).astype(np.uint8)

    expected = dict(zip(("weight", "momentum"), machines_update(vectors, factors), strict=True))
    for result, words in expected.items():
        lane = VectorHarness(UpdateOf(result=result), "UpdateOf_fp32")
        np.testing.assert_array_equal(lane.run(**vectors)["o"], words)


def bits(x: float) -> int:
    return int(np.float32(x).view(np.uint32))


@pytest.mark.parametrize(
    ("masked", "weight", "momentum"),
    [(0, 2 - 0.5 * (0.25 * 4 + 3 + 2), 6.0), (1, 2 - 0.5 * (0.25 * 4 + 3 + 8 + 2), 14.0)],
)
def test_a_step_worked_out_by_hand(masked, weight, momentum):
    gradient, factors = bits(1.5), map(bits, (2, 4, 1, 0.25, 0.5))
    words = (gradient, bits(2), bits(4), masked, *factors)
    assert oracle32.reference_update("weight", *words) == bits(weight)
    assert oracle32.reference_update("momentum", *words) == bits(momentum)
    assert oracle32.update("weight", *(np.array([w], np.uint32) for w in words)) == bits(weight)


def test_gradients_that_are_no_numbers_raise_the_flag():
    dut = WUVELane()
    gradients = [0, 0x7F800000, 0x7F7FFFFF, 0xFF800000, 0x00000001, 0x7FC00000, 0xFF800001, 1 << 31]
    flags = []

    async def testbench(ctx):
        for cycle in range(len(gradients) + WUVELane.latency):
            ctx.set(dut.gradient, gradients[cycle] if cycle < len(gradients) else 0)
            flags.append(ctx.get(dut.overflow))
            await ctx.tick()

    simulate(dut, testbench)
    assert flags[WUVELane.latency :] == [0, 1, 0, 1, 0, 1, 1, 0]
    assert not any(flags[: WUVELane.latency])


def test_a_lane_keeps_within_its_budget():
    lane = estimate("wuvelane", WUVELane())
    assert lane.resources.dsp == 10
    assert lane.resources.lut <= 2500
    assert lane.path.delay_ps <= 3200
