"""The critical path of a mapped netlist, estimated with the model in `delays`.

There is no open place-and-route for this device, so nothing here knows of distance, fan-out or
congestion: use it to compare designs, and leave a margin before promising a clock.
"""

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

from sparsat.hw.tools import primitives
from sparsat.hw.tools.delays import (
    CLOCK_TO_Q_PS,
    SETUP_PS,
    Cell,
    Pin,
    arc_ps,
    is_clock,
    launch_ps,
    net_ps,
)
from sparsat.hw.tools.yosys import Netlist


class Step(NamedTuple):
    """A cell on a path, and when its output settles after the clock edge."""

    cell: str
    kind: str
    arrival_ps: float


@dataclass(frozen=True)
class Path:
    """The slowest way to one endpoint.

    `steps` begins with the cell or port that launches it. `levels` counts the cells between start
    and end, a run of carry cells as one.
    """

    start: str
    end: str
    delay_ps: float
    steps: tuple[Step, ...]

    @property
    def levels(self) -> int:
        kinds = [step.kind for step in self.steps[1:]]
        chained = sum(a == b and a in primitives.CARRIES for a, b in pairwise(kinds))
        return len(kinds) - chained

    @property
    def mhz(self) -> float:
        return 1e6 / self.delay_ps


def critical_path(netlist: Netlist) -> Path:
    """The slowest path; `ValueError` where there is none, or a combinational loop."""
    paths = worst_paths(netlist, 1)
    if not paths:
        raise ValueError("the netlist has no path from a register or port to another")
    return paths[0]


def worst_paths(netlist: Netlist, count: int) -> list[Path]:
    """The slowest path to each of the `count` slowest endpoints, slowest first."""
    return _Graph(netlist).worst_paths(count)


class _Arc(NamedTuple):
    """A combinational way through one cell, from the net at an input pin."""

    source: int
    pin: Pin
    delay_ps: float


class _Graph:
    """Every net of a netlist: who drives it, and when it settles because of which other net."""

    def __init__(self, netlist: Netlist) -> None:
        self._names = _net_names(netlist)
        self._driver: dict[int, Pin] = {}
        self._launch: dict[int, float] = {}
        self._arcs: dict[int, list[_Arc]] = {}
        self._ends: list[tuple[int, Pin]] = []
        self._add_ports(netlist)
        for name, cell in netlist["cells"].items():
            self._add_cell(name, cell)
        self._arrival, self._cause = self._propagate()

    def worst_paths(self, count: int) -> list[Path]:
        delays = [
            (self._arrival[net] + net_ps(self._driver[net], pin) + SETUP_PS, net, pin)
            for net, pin in self._ends
            if net in self._arrival
        ]
        slowest = sorted(delays, key=lambda delay: -delay[0])[:count]
        return [self._trace(*delay) for delay in slowest]

    def _add_ports(self, netlist: Netlist) -> None:
        for name, port in netlist["ports"].items():
            for i, net in _nets(port["bits"]):
                pin = Pin(f"{name}[{i}]" if len(port["bits"]) > 1 else name, "port", name)
                if port["direction"] == "input":
                    self._driver[net], self._launch[net] = pin, CLOCK_TO_Q_PS
                else:
                    self._ends.append((net, pin))

    def _add_cell(self, name: str, cell: Cell) -> None:
        launch = launch_ps(cell)
        inputs = _pins(name, cell, "input")
        for out, j, net in _pins(name, cell, "output"):
            self._driver[net] = out
            if launch is not None:
                self._launch[net] = launch
            self._arcs[net] = [
                _Arc(source, pin, delay)
                for pin, i, source in inputs
                if (delay := arc_ps(cell, pin.port, i, out.port, j)) is not None
            ]
        if launch is not None:
            self._ends += [(net, pin) for pin, _, net in inputs if not is_clock(pin)]

    def _propagate(self) -> tuple[dict[int, float], dict[int, int]]:
        arrival, cause = dict(self._launch), {}
        for net in self._in_order():
            for arc in self._arcs.get(net, []):
                if arc.source not in arrival:  # it hangs on constants alone
                    continue
                wire = net_ps(self._driver[arc.source], arc.pin)
                time = arrival[arc.source] + wire + arc.delay_ps
                if time > arrival.get(net, 0.0):
                    arrival[net], cause[net] = time, arc.source
        return arrival, cause

    def _in_order(self) -> list[int]:
        graph = {net: {arc.source for arc in arcs} for net, arcs in self._arcs.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            loop = ", ".join(self._names.get(net, str(net)) for net in error.args[1])
            raise ValueError(f"the netlist has a combinational loop through {loop}") from None

    def _trace(self, delay_ps: float, net: int, end: Pin) -> Path:
        nets = [net]
        while nets[-1] in self._cause:
            nets.append(self._cause[nets[-1]])
        pins = [(self._driver[n], self._arrival[n]) for n in reversed(nets)]
        steps = tuple(Step(pin.cell, pin.kind, arrival) for pin, arrival in pins)
        return Path(self._start_name(nets[-1]), self._end_name(end), delay_ps, steps)

    def _start_name(self, net: int) -> str:
        """A flip-flop is called by the net that it drives, anything else by its own name."""
        pin = self._driver[net]
        return self._names.get(net, pin.cell) if primitives.is_flip_flop(pin.kind) else pin.cell

    def _end_name(self, pin: Pin) -> str:
        if pin.kind == "port":
            return pin.cell
        if primitives.is_flip_flop(pin.kind):
            output = next(net for net, out in self._driver.items() if out.cell == pin.cell)
            return f"{self._start_name(output)}.{pin.port}"
        return f"{pin.cell}.{pin.port}"


def _pins(name: str, cell: Cell, direction: str) -> list[tuple[Pin, int, int]]:
    """(pin, bit of the port, net) of a cell's inputs or outputs that are not constant."""
    return [
        (Pin(name, cell["type"], port), i, net)
        for port, its_direction in cell["port_directions"].items()
        if its_direction == direction
        for i, net in _nets(cell["connections"][port])
    ]


def _nets(bits: list[int | str]) -> list[tuple[int, int]]:
    """(position, net) of the bits that are not constant."""
    return [(i, bit) for i, bit in enumerate(bits) if isinstance(bit, int)]


def _net_names(netlist: Netlist) -> dict[int, str]:
    """A name for each net, the source's where it has one."""
    names: dict[int, str] = {}
    for name, net in sorted(netlist["netnames"].items(), key=lambda item: -item[1]["hide_name"]):
        for i, bit in _nets(net["bits"]):
            names[bit] = f"{name}[{i}]" if len(net["bits"]) > 1 else name
    return names
