"""The generated array in Verilator, fed from numpy arrays by a compiled harness."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsat.hw.array_op import ArrayOp
from sparsat.hw.config import SATConfig
from sparsat.hw.emit import stce_verilog
from sparsat.hw.request import encode_request, request_layout
from sparsat.hw.stce import part_makers
from sparsat.hw.tools.verilator import build_library

_HARNESS = """\
#include "Vtop.h"
#include <memory>

double sc_time_stamp() {{ return 0; }}

struct Words {{ const uint32_t* at; const uint32_t* end; }};
struct Sums {{ uint32_t* at; uint32_t* end; }};
enum {{ DONE, TIMEOUT, A_MISSING, B_MISSING, C_MISSING, O_FULL }};

extern "C" int run(const uint32_t* ops, uint64_t op_count, Words* a, Words* b, Words* c, Sums* o,
                   uint32_t seed, uint32_t stall, uint64_t limit, uint64_t* cycles,
                   uint64_t slots, const uint64_t* ready, uint64_t* issued,
                   uint64_t* taken, uint64_t* given) {{
    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vtop>(context.get());
    const auto clock = [&] {{ top->clk = 1; top->eval(); top->clk = 0; top->eval(); }};
    top->clk = 0;
    top->rst = 1;
    top->eval();
    clock();
    top->rst = 0;
    uint64_t op = 0, started = 0, slot = 0;
    bool running = false;
    for (uint64_t cycle = 0; cycle < limit; ++cycle) {{
        seed = seed * 1664525u + 1013904223u;
        top->step_valid = (seed >> 16 & 255) >= stall
            && slot < slots && cycle - started >= ready[slot];
        top->i___05Fvalid = !running && op < op_count;
        for (int w = 0; w < {request_words}; ++w) {request}
        top->eval();
{take}
        if (top->c_ready_0) *taken++ = cycle;
        if (top->o_valid_0) *given++ = cycle;
        if (top->step_ready && top->step_valid) issued[slot++] = cycle - started;
        if (top->i___05Fvalid && top->i___05Fready) {{ running = true; started = cycle; }}
        else if (running && !top->busy) {{
            cycles[op++] = cycle - started;
            running = false;
            if (op == op_count) {{ top->final(); return DONE; }}
        }}
        clock();
    }}
    top->final();
    return TIMEOUT;
}}
"""
_TAKE = (
    "        if (top->{p}_ready_{n}) {{ if ({p}[{n}].at == {p}[{n}].end) return {P}_MISSING;"
    " top->{p}_{n} = *{p}[{n}].at++; }}"
)
_GIVE = (
    "        if (top->o_valid_{n}) {{ if (o[{n}].at == o[{n}].end) return O_FULL;"
    " *o[{n}].at++ = top->o_{n}; }}"
)
_OUTCOMES = (
    "",
    "the array did not finish within {limit} cycles",
    "a row asked for more values of A than given",
    "a column asked for more values of B than given",
    "a column asked for more initial sums than given",
    "a column gave more sums than expected",
)


class _Span(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("end", ctypes.c_void_p))


@dataclass(frozen=True)
class ArrayStreams:
    """Words for the ports of an array.

    `a[r]`, `b[c]`, `c[c]` are the uint32 words that row r and column c take, in order (`a`:
    `a_link` values per word, the first lowest; `b`: the value, and above it the index). `sums` is
    how many words each column gives.
    """

    a: Sequence[np.ndarray]
    b: Sequence[np.ndarray]
    c: Sequence[np.ndarray]
    sums: int


class ArrayRun(NamedTuple):
    """What a run showed.

    `sums` are binary32 bits [cols, sums]; `cycles` [ops] is what each operation took; `issued`
    [slots of all operations] is the cycle in which the array took each slot's operands, counted
    from the one in which it took the operation. `taken` and `given` are the cycles, from reset, in
    which column 0 took each initial sum and gave each sum.
    """

    sums: np.ndarray
    cycles: np.ndarray
    issued: np.ndarray
    taken: np.ndarray
    given: np.ndarray


class ArrayModel:
    """A Verilated STCE.

    Parameters
    ----------
    config : SATConfig
    """

    def __init__(self, config: SATConfig):
        self.config = config
        library = build_library(
            stce_verilog(config), "stce", _harness(config), tuple(part_makers(config))
        )
        self._run = ctypes.CDLL(str(library)).run
        self._run.restype = ctypes.c_int

    def run(
        self,
        ops: Sequence[ArrayOp],
        streams: ArrayStreams,
        *,
        seed: int = 0,
        stall: float = 0.0,
        ready: np.ndarray | None = None,
    ) -> ArrayRun:
        """Run operations one after another, from reset.

        The operands of a slot are at hand from the cycle `ready` on (counted as in
        `ArrayRun.issued`; default 0), but with probability `stall` (below 1) not in a given cycle.
        RuntimeError where words are left over or missing, or the array does not finish.
        """
        slots = sum(op.tiles * op.groups for op in ops)
        at_hand = np.zeros(slots, np.uint64) if ready is None else ready.astype(np.uint64)
        if at_hand.shape != (slots,):
            raise ValueError(f"ready has the shape {at_hand.shape}, it must be ({slots},)")
        issued = np.zeros(slots, np.uint64)
        taken, given = (np.zeros(n, np.uint64) for n in (len(streams.c[0]), streams.sums))
        words = -(-request_layout(self.config).size // 32)
        requests = np.array(
            [
                encode_request(self.config, op) >> (32 * w) & 0xFFFFFFFF
                for op in ops
                for w in range(words)
            ],
            np.uint32,
        )
        sums = [np.zeros(streams.sums, np.uint32) for _ in range(self.config.cols)]
        cycles = np.zeros(len(ops), np.uint64)
        limit = sum(4 * op.tiles * (op.groups + 2) * 600 for op in ops) + 200_000
        limit += int(at_hand.max(initial=0)) * len(ops)
        spans = [_spans(arrays) for arrays in (streams.a, streams.b, streams.c, sums)]
        outcome = self._run(
            requests.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(len(ops)),
            *spans,
            ctypes.c_uint32(seed),
            ctypes.c_uint32(int(stall * 256)),
            ctypes.c_uint64(limit),
            cycles.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(slots),
            at_hand.ctypes.data_as(ctypes.c_void_p),
            *(array.ctypes.data_as(ctypes.c_void_p) for array in (issued, taken, given)),
        )
        if outcome:
            raise RuntimeError(_OUTCOMES[outcome].format(limit=limit))
        for name, group in zip(("A", "B", "initial sums", "sums"), spans, strict=True):
            left = [port for port, span in enumerate(group) if span.at != span.end]
            if left:
                raise RuntimeError(f"{name}: ports {left} have words left over")
        return ArrayRun(np.stack(sums), cycles, issued, taken, given)


def _spans(arrays: Sequence[np.ndarray]) -> ctypes.Array:
    for array in arrays:
        if array.dtype != np.uint32 or not array.flags.c_contiguous:
            raise TypeError(f"words are {array.dtype}, they must be contiguous uint32")
    return (_Span * len(arrays))(*(_Span(x.ctypes.data, x.ctypes.data + x.nbytes) for x in arrays))


def _harness(config: SATConfig) -> str:
    take = [
        *(_TAKE.format(p="a", P="A", n=r) for r in range(config.rows)),
        *(_TAKE.format(p=p, P=p.upper(), n=c) for c in range(config.cols) for p in "bc"),
        *(_GIVE.format(n=c) for c in range(config.cols)),
    ]
    words = -(-request_layout(config).size // 32)
    request = f"top->i___05Fpayload[w] = ops[(op < op_count ? op : 0) * {words} + w];"
    return _HARNESS.format(request_words=words, request=request, take="\n".join(take))
