"""Waveforms that the Verilated model writes, read by a reader of others."""

import ctypes

import pywellen

from sparsat.hw.tools.verilator import build_library

COUNTER = """
module counter(input clk, output reg [31:0] count = 7);
  always @(posedge clk) count <= count * 5;
endmodule
"""
HARNESS = """
#include <memory>
#include "Vtop.h"
#include "verilated_fst_c.h"
double sc_time_stamp() { return 0; }
extern "C" void record(const char* path, int cycles) {
    VerilatedContext context;
    context.traceEverOn(true);
    Vtop top(&context);
    VerilatedFstC trace;
    top.trace(&trace, 99);
    trace.open(path);
    for (int time = 0; time < 2 * cycles; ++time) {
        top.clk = time & 1;
        top.eval();
        trace.dump(time);
    }
    trace.close();
}
"""


def test_a_waveform_holds_what_happened(tmp_path):
    library = ctypes.CDLL(str(build_library(COUNTER, "counter", HARNESS, trace=True)))
    path, cycles = tmp_path / "counter.fst", 1000
    library.record(str(path).encode(), cycles)
    wave = pywellen.Waveform(str(path))
    (count,) = {each.signal for each in wave.all_vars() if each.full_name == "TOP.count"}
    expected = [7 * 5 ** ((time + 1) // 2) % 2**32 for time in range(2 * cycles)]
    assert [int(count.value_at(time)) for time in range(2 * cycles)] == expected
