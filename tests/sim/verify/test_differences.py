"""What `verify` says when hardware is wrong. Here hardware is the simulator, with one thing made
wrong."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app
from sparsat.hw.config import SATConfig
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Store, Update
from sparsat.hw.register_map import State
from sparsat.hw.tools.sat_model import SatRun
from sparsat.sim.functional import run as run_values
from sparsat.sim.machine import run as run_cycles
from sparsat.sim.verify import compare


@dataclass
class Wrong:
    """A model that makes `bit` of the first element wrong that a `kind` of instruction writes to
    its `tensor`, `late` by so many cycles, with another `overflow`."""

    config: SATConfig
    kind: type = Store
    tensor: str = "address"
    bit: int = 0
    late: int = 0
    overflow: bool = False
    traces: list = field(default_factory=list)

    def run(self, program, image, *, at, behaviour, on_vector, host_cycles, limit, trace=None):
        timing = run_cycles(
            self.config, program, latency=behaviour.latency, host_cycles=host_cycles
        )
        flags = run_values(self.config, program, image, on_vector, empty=0)
        for each in program:
            if isinstance(each, self.kind) and self.bit:
                image[getattr(each, self.tensor)] ^= self.bit
                break
        if trace:
            trace.write_bytes(b"a waveform")
        times = timing.instructions.copy()
        times["end"][0] += self.late
        overflow = flags.overflow ^ self.overflow
        return SatRun(State.DONE, timing.cycles, Error.NONE, 0, overflow, timing.stalls(), times)


@pytest.fixture
def verify(monkeypatch, tmp_path):
    """`sparsat verify` on hardware that is so wrong: exit code, output, waveform."""

    def run(*arguments, **wrong):
        monkeypatch.setattr(
            compare, "sat_model", lambda config, trace=False: Wrong(config, **wrong)
        )
        path = tmp_path / "wrong.fst"
        done = CliRunner().invoke(
            app, ["verify", *arguments, "--waveform", str(path)], env={"COLUMNS": "400"}
        )
        return done.exit_code, done.stdout, path

    return run


LAYERS = ("--random", "12", "--seed", "1")


def test_nothing_wrong(verify):
    code, said, path = verify(*LAYERS)
    assert code == 0
    assert "0 cycle differences, 0 value differences" in said
    assert not path.exists()


@pytest.mark.parametrize(("kind", "tensor"), [(Store, "address"), (Update, "new_momentum")])
def test_a_wrong_value_is_named(verify, kind, tensor):
    code, said, path = verify(*LAYERS, kind=kind, tensor=tensor, bit=4)
    assert code == 1
    name = kind.OPCODE.name
    assert np.char.count(said, f"{name} {tensor}, element 0 (byte ") >= 1
    assert ", 1 bytes differ): expected " in said
    assert f"waveform of the first program that differs: {path}" in said
    assert path.read_bytes() == b"a waveform"


def test_a_wrong_result_is_named_as_the_golden_model_has_it(verify):
    _, said, _ = verify(*LAYERS, bit=4)
    assert "golden, program " in said
    assert "element [0, 0, 0, 0] (1 of " in said


def test_a_wrong_cycle_is_named(verify):
    code, said, _ = verify(*LAYERS, late=1)
    assert code == 1
    assert "cycle, program 0, instruction 0, " in said


def test_a_wrong_flag_is_named(verify):
    code, said, _ = verify(*LAYERS, overflow=True)
    assert code == 1
    assert "the overflow flag: expected False, got True" in said
