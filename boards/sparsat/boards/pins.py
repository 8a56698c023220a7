"""Pin tables: which ball of the package each signal of a card is on."""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Pins:
    """A signal of one or more bits: its balls, bit 0 first, and its I/O standard.

    `standard` is "GT" on the balls of transceivers, which have none.
    """

    balls: tuple[str, ...]
    standard: str


def read_pins(card: str) -> dict[str, Pins]:
    """The table `<card>.csv` beside this file: pins by the signals' names, in its order."""
    text = files(__package__).joinpath(f"{card}.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return {row["signal"]: Pins(tuple(row["pins"].split()), row["standard"]) for row in rows}
