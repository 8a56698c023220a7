"""`sparsat card`: is the accelerator there, and does it compute what it should?"""

from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors

HELP = """Find the accelerator on a card, or run a layer on it.

WHAT is info (registers) or selftest: the forward pass, gradients and update of a small layer at
2:8, each byte of memory compared with the functional machine's.
"""

EXAMPLES = """Examples:

sparsat card selftest --device simulated --config tiny

sparsat card info --device xdma0 --config vcu1525
"""


def card(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="info or selftest.")],
    device: Annotated[str, typer.Option(help="simulated, xdma0 or a file .xclbin.")] = "simulated",
    config: Annotated[str | None, typer.Option(help="What the card was built for.")] = None,
) -> None:
    """Check the request, find the accelerator, run."""
    with one_line_errors():
        from sparsat.boards.driver import Accelerator
        from sparsat.boards.transports import open_transport
        from sparsat.cli import requests
        from sparsat.hw.config import preset

        if what not in ("info", "selftest"):
            raise ValueError(f"{what!r} is unknown, it must be info or selftest")
        simulated = device == "simulated"
        name = config or ("tiny" if simulated else "vcu1525")
        chosen = requests.hardware_of(name) if simulated else preset(name)
        accelerator = Accelerator(chosen, open_transport(device, chosen))
        if what == "info":
            for register in accelerator.registers.values():
                if "r" in register.access:
                    print(f"{register.name:18} {accelerator.read(register.name):#x}")
        else:
            _selftest(accelerator)


def _selftest(accelerator) -> None:
    """A line for each program; RuntimeError at the first byte that differs."""
    import numpy as np

    from sparsat.dataflow.ir import Conv
    from sparsat.dataflow.schedule import SCHEDULES, schedule_step
    from sparsat.sim import functional
    from sparsat.sim.values import check_step
    from sparsat.sim.verify.layers import step_of

    def run(config, program, memory):
        expected = memory.copy()
        flags = functional.run(config, program, expected, empty=0)
        found = accelerator.run(program, memory)
        if len(wrong := np.flatnonzero(memory != expected)):
            raise RuntimeError(f"{len(wrong)} bytes of memory differ, the first at {wrong[0]}")
        print(f"{len(program)} instructions, {found.cycles} cycles, {len(memory)} bytes equal")
        return flags

    config = accelerator.config
    step = step_of(Conv(1, 6, 6, 16, 6, 6, 16, 3, 3, (1, 1), (1, 1)))
    for _ in check_step(config, schedule_step(config, step, SCHEDULES["optimal"], (2, 8)), 1, run):
        pass
