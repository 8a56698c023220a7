from pathlib import Path

import numpy as np

from sat_bed import Bed, of
from sparsat.hw.config import preset
from sparsat.hw.core import part_makers
from sparsat.hw.emit import sat_verilog
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import LoadA
from sparsat.hw.tools.cocotb_runner import run_cocotb


def test_generated_verilog_between_host_and_memory_of_cocotb(tmp_path):
    config, bed = preset("tiny"), Bed()
    code = np.frombuffer(encode_program(bed.program), np.uint8)
    start = bed.at * config.line_bytes
    bed.memory[start : start + len(code)] = code
    np.savez(
        tmp_path / "case.npz",
        image=bed.memory,
        program=start,
        instructions=len(bed.program),
        result=bed.after,
        operand=of(LoadA).address,
        operand_of=bed.program.index(of(LoadA)),
    )
    env = {"CONFIG": config.name, "CASE": str(tmp_path / "case.npz")}
    tests = Path(__file__).with_name("cocotb_sat.py")
    run_cocotb(sat_verilog(config), "sat", tests, env, tuple(part_makers(config)))
