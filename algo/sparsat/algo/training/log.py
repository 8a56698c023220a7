"""A run's log: one row per evaluation, as CSV and as JSON with what the run was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsat.algo.training.files import write_csv, write_json

Row = dict[str, Any]
"""step, epoch, lr, loss (mean since the last row or None), the metrics, macs, cpu_seconds."""


@dataclass
class Log:
    """Rows of one run; `header` says what the run is and what its data were.

    Both files are rewritten whole and atomically, so they are never torn, and a resumed run
    drops the rows that came after its checkpoint.
    """

    folder: Path
    header: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Append `row` and write both files."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        write_csv(self.folder / "log.csv", self.rows)
        write_json(self.folder / "log.json", {**self.header, "rows": self.rows})


@dataclass
class Mean:
    """Mean of the losses since the last row."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total, self.count = self.total + value, self.count + 1

    def take(self) -> float | None:
        """The mean, None of nothing; starts anew."""
        mean = self.total / self.count if self.count else None
        self.total, self.count = 0.0, 0
        return mean
