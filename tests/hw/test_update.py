"""UPDATEs on the hardware, beside LOADs, EXECs and STOREs: all bytes and all cycles."""

import random
from dataclasses import replace

import numpy as np
import pytest

from blocks import simulate
from sat_bed import SLOW, TINY
from sparsat.hw.config import SATConfig
from sparsat.hw.image import with_room
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Halt, Instruction, Update
from sparsat.hw.tools.sat_model import Memory, SatRun, sat_model
from sparsat.hw.update_runs import UpdateRuns
from sparsat.sim.functional import run
from sparsat.sim.verify.campaign import new_bench
from update_cases import random_update, random_updates

CONFIGS = (TINY, SLOW)
of_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


@of_config
def test_random_updates_take_the_same_cycles_and_leave_the_same_bytes(config):
    bench = new_bench(config)
    for number in range(60):
        rng = random.Random(f"{config.name} {number}")
        bench.run(config, *random_updates(rng, config))
    assert [str(each) for each in bench.count.differences] == []
    assert bench.count.instructions > 150


@of_config
def test_memory_that_stalls_changes_no_values(config):
    for number in range(6):
        rng = random.Random(f"stall {config.name} {number}")
        program, memory = random_updates(rng, config)
        expected = memory.copy()
        flags = run(config, program, expected, empty=0)
        found, image = on_hardware(config, program, memory, stall=rng.choice([0.2, 0.7]))
        assert found.error is Error.NONE
        assert found.overflow == flags.overflow
        np.testing.assert_array_equal(image, expected)


def on_hardware(
    config: SATConfig, program: list[Instruction], memory: np.ndarray, **behaviour
) -> tuple[SatRun, np.ndarray]:
    """What the registers hold, and memory afterwards."""
    image, at = with_room(config, memory, program)
    found = sat_model(config).run(program, image, at=at, behaviour=Memory(**behaviour))
    return found, image[: len(memory)]


def one_update(**fields) -> tuple[Update, np.ndarray]:
    memory: list[np.ndarray] = []
    update = random_update(random.Random(0), TINY, memory)
    return replace(update, **fields), np.concatenate(memory)


@pytest.mark.parametrize(
    "fields",
    [
        {"taps": 0},
        {"in_blocks": 0},
        {"out_blocks": 0},
        {"copies": 1, "n": 0},
        {"copies": 1, "n": 9, "log_m": 2},
        {"copies": 1, "n": 1, "log_m": 0},
        {"gradient": 32},
        {"new_momentum": 32},
        {"copies": 1, "n": 2, "log_m": 2, "forward": 32},
        {"copies": 1, "n": 2, "log_m": 2, "backward_index": 32},
    ],
)
def test_wrong_fields_are_found(fields):
    update, memory = one_update(**fields)
    found, _ = on_hardware(TINY, [replace(update, **{**fields, "taps": 1}), update, Halt()], memory)
    assert (found.error, found.error_number) == (Error.FIELD, 1 if "taps" in fields else 0)


def test_fields_that_are_not_used_may_be_anything():
    for fields in ({"copies": 0, "n": 0, "forward": 1}, {"copies": 1, "n": 4, "log_m": 1}):
        update, memory = one_update(**fields, forward_index=1, backward_index=1)
        assert on_hardware(TINY, [update, Halt()], memory)[0].error is Error.NONE


def test_tensors_beyond_any_memory_are_found():
    update, memory = one_update(taps=1 << 15, in_blocks=1 << 20)
    found, _ = on_hardware(TINY, [update, Halt()], memory)
    assert (found.error, found.error_number) == (Error.RANGE, 0)


@pytest.mark.parametrize("field", ["momentum", "new_master", "forward", "backward_index"])
def test_runs_that_leave_memory_are_found(field):
    """Lines, one after another, until one is outside: the first behind the end of memory."""
    end = 1 << 40
    at = {name: 1 << 20 for name in ("master", "momentum", "gradient", "new_master")}
    at |= {name: 1 << 20 for name in ("new_momentum", "forward", "backward", "backward_index")}
    update = Update(**at | {field: end - TINY.line_bytes}, copies=1, n=2, log_m=2)
    dut, seen = UpdateRuns(config=TINY), []

    async def testbench(ctx):
        for name, value in vars(update).items():
            ctx.set(dut.x[name], value)
        for name, value in (("begin", 1), ("kept", 4), ("row.valid", 1), ("computed", 1)):
            ctx.set(dut.row.valid if name == "row.valid" else getattr(dut, name), value)
        ctx.set(dut.pitch, {"natural": 1 << 38, "turned": 64})
        await ctx.tick()
        ctx.set(dut.begin, 0)
        ctx.set(dut.copied, 1)
        await ctx.tick()
        ctx.set(dut.computed, 0)
        ctx.set(dut.copied, 0)
        for _ in range(100):
            if ctx.get(dut.burst.outside):
                return
            ctx.set(dut.step, ctx.get(dut.valid))
            if ctx.get(dut.valid):
                seen.append(ctx.get(dut.burst.line) << 6)
            await ctx.tick()
        raise AssertionError(f"no run is outside: {seen}")

    simulate(dut, testbench)
    assert seen
    assert max(seen) < end
