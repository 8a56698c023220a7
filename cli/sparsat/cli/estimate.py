"""What a machine costs, in a few lines in the terminal."""

from sparsat.hw.config import SATConfig


def print_estimate(config: SATConfig, card: str = "vcu1525") -> None:
    """Resources, whether they fit the card's device, and the clock, all estimated."""
    from sparsat.hw.device import DEVICES, LIMIT
    from sparsat.hw.resource_model import cost, fit

    device = DEVICES[card]
    found = cost(config, device)
    placed, total, slowest = fit(found, device), found.total, found.slowest
    print(
        f"estimated: {total.lut:,.0f} LUT, {total.ff:,.0f} FF, {total.dsp:,.0f} DSP, "
        f"{total.bram18 / 2:,.0f} block RAMs, {total.uram:,.0f} UltraRAMs; "
        f"{found.clock_hz / 1e6:.0f} MHz (slowest: {slowest.name}, {slowest.path_ps / 1e3:.2f} ns)"
    )
    if placed.fits:
        rows = " + ".join(map(str, placed.rows))
        print(f"fits {card} with its shell at {LIMIT:.0%} of any die: {rows} rows of cells on each")
    else:
        print(f"does not fit {card} with its shell: {placed.reason}")
