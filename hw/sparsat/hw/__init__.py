"""SAT, the accelerator, in Amaranth HDL: configuration, formats, arithmetic, array, tools."""
