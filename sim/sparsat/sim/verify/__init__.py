"""Hardware against simulator and golden model: cycles, bytes, values."""
