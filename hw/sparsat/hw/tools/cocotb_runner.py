"""cocotb tests on generated Verilog, in a Verilator build that exposes the top's ports alone."""

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cocotb_tools.config
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from sparsat.hw.tools.cache import cached
from sparsat.hw.tools.verilator import (
    MAKEFLAGS,
    configuration,
    environment,
    keep_as_functions,
    require_compiler,
    version,
)

_BUILD_FLAGS = (
    *("-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-timing"),
    *("--x-assign", "fast", "--x-initial", "fast"),
)


def run_cocotb(
    verilog: str,
    top: str,
    tests: Path,
    env: Mapping[str, str] | None = None,
    repeated: Sequence[str] = (),
) -> None:
    """Run every cocotb test of the file `tests` on module `top` of the text `verilog`.

    `env` is added to the tests' environment variables. `repeated` modules stay functions, as in
    `build_library`. Raises `RuntimeError` with the end of the
    log where a test fails, or none was run.
    """
    build_dir = _build(verilog, top, repeated)
    with tempfile.TemporaryDirectory(prefix="sparsat-") as name:
        work = Path(name)
        log, results = work / "cocotb.log", work / "results.xml"
        try:
            PortsOnlyVerilator(tests.parent).test(
                test_module=tests.stem,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                # By default cocotb rewrites the assertions of all that is imported, torch too.
                extra_env={"COCOTB_REWRITE_ASSERTION_FILES": tests.name, **(env or {})},
                build_dir=build_dir,
                test_dir=work,
                results_xml=str(results),
                log_file=log,
            )
            run, failed = get_results(results)
        except (RuntimeError, SystemExit):
            raise RuntimeError(f"the tests of {tests} failed:\n{_tail(log)}") from None
        if failed or not run:
            raise RuntimeError(f"{failed} of {run} tests of {tests} failed:\n{_tail(log)}")


class PortsOnlyVerilator(Verilator):
    """cocotb's runner, less its flag that makes every signal public and the build ten times slower.

    `test_path` is the folder that the tests are imported from.
    """

    def __init__(self, test_path: Path) -> None:
        super().__init__()
        self.test_path = test_path.resolve()

    def _simulator_in_path_build_only(self) -> None:
        require_compiler()
        self.executable = str(Path(environment()["VERILATOR_ROOT"]) / "bin" / "verilator")

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env.update(environment())

    def _set_env_test(self) -> None:
        super()._set_env_test()
        self.env["PYTHONPATH"] = os.pathsep.join([str(self.test_path), self.env["PYTHONPATH"]])

    def _build_command(self) -> list[list[str]]:
        return [
            [arg for arg in command if arg != "--public-flat-rw"]
            for command in super()._build_command()
        ]


def _build(verilog: str, top: str, repeated: Sequence[str]) -> Path:
    key = (
        version(),
        importlib.metadata.version("cocotb"),
        str(cocotb_tools.config.libs_dir),
        *(verilog, top, MAKEFLAGS),
        *repeated,
        *_BUILD_FLAGS,
    )
    return cached("cocotb", key, lambda out: _compile(verilog, top, repeated, out))


def _compile(verilog: str, top: str, repeated: Sequence[str], out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sparsat-") as name:
        work = Path(name)
        source, public, log = work / "top.v", work / "public.vlt", work / "build.log"
        source.write_text(verilog)
        rules = [f'public_flat_rw -module "{top}" -port "*"', *keep_as_functions(repeated)]
        public.write_text(configuration(rules))
        try:
            PortsOnlyVerilator(work).build(
                sources=[public, source],
                hdl_toplevel=top,
                build_args=_BUILD_FLAGS,
                build_dir=work / "build",
                log_file=log,
            )
        except RuntimeError:
            raise RuntimeError(f"Verilator could not build {top}:\n{_tail(log)}") from None
        shutil.copy(work / "build" / top, out / top)


def _tail(log: Path, lines: int = 60) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:]) if log.exists() else ""
