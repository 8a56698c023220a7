"""Numbers as people read them."""

PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)
SPACE = "\N{NO-BREAK SPACE}"


def quantity(value: float, unit: str = "") -> str:
    """Three digits and a prefix: 132 M cycles, 4.75 GB, 441 ms.

    Counts (cycles, or no unit) keep their prefix apart from the unit, and have no fractions.
    """
    value = float(f"{value:.3g}")
    counts = unit in ("", "cycles")
    prefixes = [entry for entry in PREFIXES if not (counts and entry[0] < 1)]
    factor, prefix = next((entry for entry in prefixes if value >= entry[0]), (1, ""))
    digits = f"{value:.0f}" if counts and factor == 1 else f"{value / factor:#.3g}".rstrip(".")
    tail = (prefix, unit) if counts else (prefix + unit,)
    return SPACE.join(part for part in (digits, *tail) if part)


def percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"


def speedup(dense: int, sparse: int) -> str:
    """A dash where either took no time."""
    return times(dense / sparse) if dense and sparse else "–"
