"""The machine's engines in numba: `machine` steps them."""
