"""The whole accelerator runs what the compiler makes of layers."""

from typing import Any

import pytest

from sat_bed import SLOW, TINY
from sparsat.dataflow.ir import Conv, MatMul
from sparsat.hw.config import GROUP_SIZES
from sparsat.hw.emit import sat_verilog
from sparsat.hw.isa.instructions import Sem
from sparsat.hw.tools.verilator import lint
from sparsat.sim.engines.decoded import Engine
from sparsat.sim.machine import CAUSES
from sparsat.sim.machine import run as run_cycles
from sparsat.sim.verify import compare
from sparsat.sim.verify.campaign import new_bench, random_layers, run_layer
from sparsat.sim.verify.layers import step_of


def test_the_verilog_is_clean(tmp_path):
    (tmp_path / "sat.v").write_text(sat_verilog(TINY))
    lint([tmp_path / "sat.v"], "sat")


@pytest.mark.parametrize(("config", "programs"), [(TINY, 25), (SLOW, 12)], ids=["tiny", "slow"])
def test_random_layers_take_the_same_cycles_and_leave_the_same_bytes(config, programs):
    found = new_bench(config)
    for _ in random_layers(found, programs, seed=1):
        pass
    assert found.count.differences == []
    assert found.count.programs >= programs
    assert found.count.instructions > 4 * programs


@pytest.mark.parametrize("schedule", ["optimal", "ws", "online-sore"])
@pytest.mark.parametrize(
    ("work", "pattern"),
    [
        (Conv(2, 7, 7, 16, 4, 4, 16, 3, 3, (2, 2), (1, 1)), (2, 8)),
        (Conv(1, 8, 6, 40, 8, 6, 10, 1, 1), None),
        # Chunks that go on with each other's sums: initial ones are wanted before their tokens.
        (Conv(3, 7, 8, 16, 7, 8, 10, 5, 5, (1, 1), (2, 2)), None),
        (Conv(2, 9, 8, 16, 4, 3, 8, 3, 3, (2, 2), (1, 2), (2, 3)), (5, 8)),
    ],
)
def test_layers(schedule, work, pattern):
    found = new_bench(TINY)
    run_layer(found, step_of(work), schedule, pattern, seed=3)
    assert found.count.differences == []
    assert found.count.programs == 4


@pytest.mark.parametrize("m", GROUP_SIZES)
def test_every_pattern(m):
    found = new_bench(TINY)
    for n in range(1, m):
        schedule = "online-sore" if n % 2 else "optimal"
        run_layer(found, step_of(Conv(1, 2, 2, 16, 2, 2, 16)), schedule, (n, m), seed=n)
    assert found.count.differences == []
    assert found.count.programs == 4 * (m - 1)


def test_many_small_chunks_at_the_full_rate():
    """Each slot reads as many rows of B as it has cycles, through dozens of chunks."""
    found = new_bench(TINY)
    run_layer(found, step_of(Conv(32, 4, 1, 32, 4, 1, 96, 1, 1)), "optimal", (2, 8), seed=5)
    assert found.count.differences == []


def test_a_wait_that_differs_is_found(monkeypatch):
    """One more for a token, which a register must show; one more for memory, which none shows."""

    def later(*arguments, **options):
        timing = run_cycles(*arguments, **options)
        timing.waited[Engine.EXEC, [Sem.B_FULL, CAUSES.index("MEMORY")]] += 1
        return timing

    monkeypatch.setattr(compare, "run_cycles", later)
    found = new_bench(TINY)
    run_layer(found, step_of(MatMul(1, 4, 4, 4)), "optimal", None, seed=1)
    difference: Any
    (difference,) = found.count.differences
    assert str(difference).startswith("cycle, program 0, register STALL_EXEC: expected ")
    assert difference.expected == difference.got + 1
