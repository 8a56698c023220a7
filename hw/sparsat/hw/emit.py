"""Verilog of the array: the cell once, everything else around it."""

from sparsat.hw.config import SATConfig
from sparsat.hw.stce import STCE
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.uspe import USPE


def stce_verilog(config: SATConfig) -> str:
    """Modules `stce` (the top) and `uspe` as one Verilog text."""
    top = to_verilog(STCE(config=config, instances=True), "stce")
    return top + "\n" + to_verilog(USPE(config=config), "uspe")
