"""Runs a project's Tcl in tclsh, with commands that only record that they were called."""

import shutil
import subprocess
from pathlib import Path

COMMANDS = frozenset(
    [
        "create_project",
        "open_project",
        "close_project",
        "add_files",
        "set_property",
        "get_property",
        "current_fileset",
        "current_project",
        "update_compile_order",
        "update_ip_catalog",
        "create_bd_design",
        "create_bd_cell",
        "get_bd_cells",
        "get_bd_pins",
        "get_bd_intf_pins",
        "connect_bd_net",
        "connect_bd_intf_net",
        "make_bd_intf_pins_external",
        "make_bd_pins_external",
        "assign_bd_address",
        "get_bd_addr_spaces",
        "get_bd_addr_segs",
        "validate_bd_design",
        "save_bd_design",
        "make_wrapper",
        "get_files",
        "launch_runs",
        "wait_on_run",
        "get_runs",
        "open_run",
        "report_utilization",
        "report_timing_summary",
        "report_power",
        "write_bitstream",
        "get_timing_paths",
        "apply_bd_automation",
        "get_board_parts",
        "package_xo",
        "ipx::package_project",
        "ipx::current_core",
        "ipx::infer_bus_interface",
        "ipx::associate_bus_interfaces",
        "ipx::get_bus_interfaces",
        "ipx::add_bus_parameter",
        "ipx::create_xgui_files",
        "ipx::update_checksums",
        "ipx::check_integrity",
        "ipx::save_core",
        "ipx::get_memory_maps",
        "ipx::get_address_blocks",
        "ipx::add_register",
        "ipx::add_register_parameter",
    ]
)
"""Commands of Vivado 2020 to 2024 that the scripts may use (UG835, UG1118)."""

_PRELUDE = """
namespace eval ipx {{}}
foreach command {{{commands}}} {{
    proc ::$command {{args}} [string map [list @ $command] {{
        puts stdout [list @ {{*}}$args]
        if {{"@" eq "get_property"}} {{
            return [expr {{[lindex $args 0] eq "PROGRESS" ? "100%" : 0.1}}]
        }}
        return [list @ {{*}}$args]
    }}]
}}
"""


def available() -> bool:
    return shutil.which("tclsh") is not None


def calls(script: Path, *more: str) -> list[str]:
    """What `script` calls, a line each in Tcl's own form. RuntimeError where it fails."""
    text = _PRELUDE.format(commands=" ".join(sorted(COMMANDS)))
    text += "".join(f"{line}\n" for line in more) + f"source {{{script}}}\n"
    done = subprocess.run(
        ["tclsh"], input=text + "exit 0\n", capture_output=True, text=True, cwd=script.parent
    )
    if done.returncode or done.stderr:
        raise RuntimeError(done.stderr)
    return done.stdout.splitlines()
