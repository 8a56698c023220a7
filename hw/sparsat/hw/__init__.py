"""SAT, the accelerator, in Amaranth HDL: its configuration, formats, arithmetic, array and tools."""
