from pathlib import Path

import pytest

from sparsat.hw.config import preset
from sparsat.hw.emit import stce_verilog
from sparsat.hw.stce import part_makers
from sparsat.hw.tools.cocotb_runner import run_cocotb


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_generated_verilog_in_cocotb(name):
    tests = Path(__file__).with_name("cocotb_array.py")
    config = preset(name)
    run_cocotb(stce_verilog(config), "stce", tests, {"CONFIG": name}, tuple(part_makers(config)))
