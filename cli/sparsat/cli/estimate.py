"""What a machine costs, in a few lines in the terminal."""

from sparsat.hw.config import SATConfig


def print_estimate(config: SATConfig, card: str) -> None:
    """Resources, the clock, and whether it fits the card if its device is known; all estimated."""
    from sparsat.hw.device import DEVICES, LIMIT
    from sparsat.hw.floorplan import fit
    from sparsat.hw.resource_model import cost

    found = cost(config)
    (lut, ff, dsp, *_), slowest = found.total, found.slowest
    print(
        f"estimated: {lut:,.0f} LUT, {ff:,.0f} FF, {dsp:,.0f} DSP; "
        f"{found.clock_hz / 1e6:.0f} MHz (slowest: {slowest.name}, {slowest.path_ps / 1e3:.2f} ns)"
    )
    if card not in DEVICES:
        return
    placed = fit(found, DEVICES[card])
    if not placed.fits:
        print(f"does not fit {card} beside its shell at {LIMIT:.0%} of any die: {placed.reason}")
        return
    _, _, _, bram18, uram = placed.used.sum(axis=0)
    rows = " + ".join(map(str, placed.rows))
    print(
        f"fits {card} beside its shell at {LIMIT:.0%} of any die: {rows} rows of cells on them, "
        f"{bram18 / 2:,.0f} block RAMs, {uram:,.0f} UltraRAMs"
    )
