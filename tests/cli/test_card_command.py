"""`sparsat card` as a user meets it."""

import pytest
from typer.testing import CliRunner

from sparsat.boards.driver import Accelerator
from sparsat.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["flash"], "'flash' is unknown, it must be info or selftest"),
        (["info", "--device", "pcie"], "device is 'pcie', it must be simulated, xdma0"),
        (["info", "--device", "xdma9"], "no card: /dev/xdma9_user is missing"),
        (["info", "--config", "vcu1525"], "hardware is simulated as tiny or small"),
        (["info", "--device", "a.xclbin"], "no card: pyxrt is missing"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, said):
    result = CliRunner().invoke(app, ["card", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_selftest_compares_four_programs():
    result = CliRunner().invoke(app, ["card", "selftest"])
    assert result.exit_code == 0
    assert result.output.count("bytes equal") == 4


def test_the_selftest_finds_a_wrong_byte(monkeypatch):
    run = Accelerator.run

    def wrong(self, program, memory):
        found = run(self, program, memory)
        memory[77] ^= 1
        return found

    monkeypatch.setattr(Accelerator, "run", wrong)
    result = CliRunner().invoke(app, ["card", "selftest"])
    assert result.exit_code == 2
    assert "1 bytes of memory differ, the first at 77" in result.stderr
