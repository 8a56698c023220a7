"""Components that are emitted once as Verilog modules and instantiated many times."""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

Makers = Mapping[str, Callable[[], wiring.Component]]


class Parts:
    """What a design repeats, by Verilog module name.

    Parameters
    ----------
    makers : mapping of str to callable
        Each makes one component of that kind.
    once : bool
        Whether each kind becomes one Verilog module that is only instantiated, so that a large
        design converts in seconds. Else every instance is an Amaranth component of its own.
    """

    def __init__(self, makers: Makers, *, once: bool):
        self._makers = makers
        self._made = {name: make() for name, make in makers.items()} if once else {}

    def modules(self) -> Iterator[tuple[str, wiring.Component]]:
        """The modules to emit beside the design."""
        return iter(self._made.items())

    def place(self, m: Module, kind: str, name: str) -> SimpleNamespace:
        """Put one in, as submodule `name`; returns its ports as plain values."""
        if kind not in self._made:
            m.submodules[name] = part = self._makers[kind]()
            ports = part.signature.members
            return SimpleNamespace(**{p: Value.cast(getattr(part, p)) for p in ports})
        ports = self._made[kind].signature.members
        wires = {
            p: Signal(Shape.cast(member.shape).width, name=f"{name}_{p}")
            for p, member in ports.items()
        }
        pins = {f"{'i' if ports[p].flow is In else 'o'}_{p}": wire for p, wire in wires.items()}
        m.submodules[name] = Instance(kind, i_clk=ClockSignal(), i_rst=ResetSignal(), **pins)
        return SimpleNamespace(**wires)
