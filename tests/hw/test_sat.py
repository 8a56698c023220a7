"""The whole accelerator runs what the compiler makes of layers."""

import pytest

from sparsat.dataflow.ir import Conv
from sparsat.hw.config import preset
from sparsat.hw.emit import sat_verilog
from sparsat.hw.tools.verilator import lint
from sparsat.sim.verify.campaign import new_bench, random_layers, run_layer
from sparsat.sim.verify.layers import step_of

TINY = preset("tiny")


def test_the_verilog_is_clean(tmp_path):
    (tmp_path / "sat.v").write_text(sat_verilog(TINY))
    lint([tmp_path / "sat.v"], "sat")


@pytest.mark.parametrize(("config", "programs"), [("tiny", 25)])
def test_random_layers_take_the_same_cycles_and_leave_the_same_bytes(config, programs):
    found = new_bench(preset(config))
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
    ],
)
def test_layers(schedule, work, pattern):
    found = new_bench(TINY)
    run_layer(found, step_of(work), schedule, pattern, seed=3)
    assert found.count.differences == []
    assert found.count.programs == 4


def test_many_small_chunks_at_the_full_rate():
    """Each slot reads as many rows of B as it has cycles, through dozens of chunks."""
    found = new_bench(TINY)
    run_layer(found, step_of(Conv(32, 4, 1, 32, 4, 1, 96, 1, 1)), "optimal", (2, 8), seed=5)
    assert found.count.differences == []
