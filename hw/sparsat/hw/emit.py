"""Verilog of the array: each repeated part once, and the array that instantiates them."""

from sparsat.hw.config import SATConfig
from sparsat.hw.stce import STCE, part_makers
from sparsat.hw.tools.verilog import to_verilog


def stce_verilog(config: SATConfig) -> str:
    """Module `stce` (the top) and the modules of its parts as one Verilog text."""
    parts = {name: make() for name, make in part_makers(config).items()}
    texts = [to_verilog(STCE(config=config, parts=parts), "stce")]
    texts += [to_verilog(part, name) for name, part in parts.items()]
    return "\n".join(texts)
