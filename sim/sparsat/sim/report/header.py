"""What was simulated, and its headline numbers."""

from collections.abc import Callable
from html import escape
from typing import Any

from sparsat.sim.report.runs import Run
from sparsat.sim.report.text import SPACE, percent, quantity, times

Totals = dict[str, Any]

COMPARED: dict[str, Callable[[Totals], str]] = {
    "step time": lambda t: quantity(t["seconds"], "s"),
    "utilisation": lambda t: percent(t["utilization"]),
    "in GEMM + update": lambda t: percent(t["gemm_utilization"]),
    "effective": lambda t: quantity(1e9 * t["gflops_effective"], "FLOP/s"),
    "dense-equivalent": lambda t: quantity(1e9 * t["gflops_dense_equivalent"], "FLOP/s"),
    "DRAM traffic": lambda t: quantity(t["dram_bytes"], "B"),
}
"""Numbers that stand beside those of the dense run."""


def facts(data: dict[str, Any]) -> str:
    """One line about the model and the machine."""
    config = data["config"]
    cells = f"{config['rows']}×{config['cols']} cells"
    named = {name: data[name] for name in ("batch", "method", "pattern", "schedule")} | {
        "machine": f"{config['name']}: {cells} at {quantity(config['clock_hz'], 'Hz')}",
        "memory": data["memory"],
    }
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(str(value))}</dd></div>" for name, value in named.items()
    )


def headline(data: dict[str, Any], runs: list[Run]) -> str:
    """Tiles: what it is, the number, and what to hold it against."""
    totals = [run.totals for run in runs]
    compared = dict(COMPARED)
    if "energy_joules" in totals[0]:
        compared["energy"] = lambda t: quantity(t["energy_joules"], "J")
    tiles = [
        _tile(name, number(totals[0]), f"dense {number(totals[1])}" if totals[1:] else "")
        for name, number in compared.items()
    ]
    if len(runs) > 1:
        gemm = f"GEMM + update {times(data['gemm_speedup_vs_dense'])}"
        tiles.insert(1, _tile("speed-up", times(data["speedup_vs_dense"]), gemm))
    return "".join(tiles)


def _tile(name: str, value: str, beside: str) -> str:
    number, _, unit = value.partition(SPACE)
    return (
        f'<div class="tile"><span>{name}</span>'
        f"<strong>{number} <em>{unit}</em></strong><small>{beside}</small></div>"
    )
