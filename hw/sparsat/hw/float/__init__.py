"""Pipelined floating-point units of the compute array."""
