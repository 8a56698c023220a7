"""Millions of vectors a second through a pipelined unit, in its Verilated model."""

import ctypes
import re
from typing import Protocol

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring

from sparsat.hw.tools.verilator import build_library
from sparsat.hw.tools.verilog import to_verilog

_HARNESS = """\
#include "Vtop.h"
#include <memory>

double sc_time_stamp() {{ return 0; }}

extern "C" void run(uint64_t count, uint64_t latency, void** ports) {{
    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vtop>(context.get());
    {pointers}
    for (uint64_t cycle = 0; cycle < count + latency; ++cycle) {{
        if (cycle < count) {{
            {drive}
        }}
        {clock_low}
        top->eval();
        if (cycle >= latency) {{
            {sample}
        }}
        {clock_high}
    }}
    top->final();
}}
"""


class Pipeline(Protocol):
    """A component that takes one vector each cycle and answers `latency` cycles later."""

    @property
    def latency(self) -> int: ...

    @property
    def signature(self) -> wiring.Signature: ...


class VectorHarness:
    """Runs arrays of vectors through a fully pipelined component of fixed latency.

    Parameters
    ----------
    component
        Its ports are plain values of at most 64 bits, its clock domain is `sync`, and its outputs
        of one cycle belong to its inputs `latency` cycles before (0 where it is combinational).
    name
        The Verilog module's name.
    """

    def __init__(self, component: Pipeline, name: str):
        self.latency = component.latency
        self._inputs, self._outputs = _port_widths(component)
        verilog = to_verilog(component, name)
        library = build_library(verilog, name, self._harness(verilog))
        self._run = ctypes.CDLL(str(library)).run
        self._run.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p)]
        self._run.restype = None

    def run(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Clock one vector a cycle through the unit, from reset.

        `arrays` holds each input port's bits, all of one length. Returns each output port's bits
        as the smallest unsigned type that holds them, element i answering vector i.
        """
        if arrays.keys() != self._inputs.keys():
            raise ValueError(f"inputs are {sorted(arrays)}, expected {sorted(self._inputs)}")
        vectors = [_port_array(n, arrays[n], width) for n, width in self._inputs.items()]
        lengths = {len(v) for v in vectors}
        if len(lengths) != 1:
            raise ValueError(f"input arrays have lengths {sorted(lengths)}, expected one length")
        count = lengths.pop()
        results = {n: np.empty(count, _dtype(width)) for n, width in self._outputs.items()}
        buffers = [*vectors, *results.values()]
        pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
        self._run(count, self.latency, pointers)
        return results

    def _harness(self, verilog: str) -> str:
        ports = {**self._inputs, **self._outputs}
        clocked = re.search(r"^\s*input clk;", verilog, re.MULTILINE)
        return _HARNESS.format(
            pointers="\n    ".join(
                f"auto* p{i} = static_cast<uint{8 * _dtype(width).itemsize}_t*>(ports[{i}]);"
                for i, width in enumerate(ports.values())
            ),
            drive="\n            ".join(
                f"top->{_cpp_name(n)} = p{i}[cycle];" for i, n in enumerate(self._inputs)
            ),
            sample="\n            ".join(
                f"p{i}[cycle - latency] = top->{_cpp_name(n)};"
                for i, n in enumerate(self._outputs, len(self._inputs))
            ),
            clock_low="top->clk = 0;" if clocked else "",
            clock_high="top->clk = 1; top->eval();" if clocked else "",
        )


def _port_widths(component: Pipeline) -> tuple[dict[str, int], dict[str, int]]:
    """Widths of the inputs and of the outputs, by their names in Verilog."""
    inputs: dict[str, int] = {}
    outputs: dict[str, int] = {}
    for path, member, value in component.signature.flatten(component):
        name, width = "__".join(map(str, path)), len(Value.cast(value))
        if not 1 <= width <= 64:
            raise ValueError(f"port {name} is {width} bits wide, expected 1 to 64")
        (inputs if member.flow == wiring.In else outputs)[name] = width
    return inputs, outputs


def _port_array(name: str, array: np.ndarray, width: int) -> np.ndarray:
    if array.ndim != 1 or array.dtype.kind not in "ub":
        raise TypeError(
            f"input {name} has shape {array.shape} and type {array.dtype},"
            " expected one dimension of unsigned bits"
        )
    if len(array) and int(array.max()) >> width:
        raise ValueError(f"input {name} holds {array.max()}, which does not fit {width} bits")
    return np.ascontiguousarray(array, _dtype(width))


def _dtype(width: int) -> np.dtype:
    return np.min_scalar_type((1 << width) - 1)


def _cpp_name(port: str) -> str:
    """How Verilator writes a port's name, in which a double underscore is reserved."""
    return port.replace("__", "___05F")
