"""Drivers of the external tools: Yosys, Verilator, cocotb."""
