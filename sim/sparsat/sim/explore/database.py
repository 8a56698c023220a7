"""Results of explorations in one SQLite file: what is in it need never be run again.

SQLite comes with Python and is in the public domain. Every result is a transaction of its own, so a
process that is killed loses only what it was working on.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Self

SCHEMA = 1
TABLES = f"""
PRAGMA user_version = {SCHEMA};
CREATE TABLE IF NOT EXISTS studies (id TEXT PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS screened (
    study TEXT REFERENCES studies(id), design TEXT, round INTEGER NOT NULL,
    seconds REAL, joules REAL, lut REAL, clock_hz REAL, error TEXT NOT NULL,
    PRIMARY KEY (study, design));
CREATE TABLE IF NOT EXISTS simulated (
    study TEXT REFERENCES studies(id), design TEXT,
    seconds REAL, joules REAL, gflops_effective REAL, gflops_dense REAL, utilization REAL,
    error TEXT NOT NULL,
    PRIMARY KEY (study, design));
"""


@dataclass(frozen=True)
class Screened:
    """What screening found of a design; `error` says why it found nothing."""

    design: str
    round: int
    lut: float
    clock_hz: float
    seconds: float = inf
    joules: float = inf
    error: str = ""


@dataclass(frozen=True)
class Simulated:
    """What the simulator found of a design."""

    design: str
    seconds: float = inf
    joules: float = inf
    gflops_effective: float = 0.0
    gflops_dense: float = 0.0
    utilization: float = 0.0
    error: str = ""


class Database:
    """The results of one study, which its `settings` name; others may be in the same file.

    OSError where the file is no such database, or another process explores into it.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        text = json.dumps(settings, sort_keys=True)
        self.study = hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self._file = sqlite3.connect(path, timeout=0.1, isolation_level=None)
            self._open(text)
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}: it must be a database that nobody else uses") from None

    def _open(self, settings: str) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("PRAGMA journal_mode = WAL")
        version = self._file.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA):
            raise sqlite3.DatabaseError(f"has schema {version}, this is {SCHEMA}")
        self._file.executescript(TABLES)
        self._file.execute("INSERT OR IGNORE INTO studies VALUES (?, ?)", (self.study, settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, result: Screened | Simulated) -> None:
        """sqlite3.IntegrityError where the design has one already: nothing runs twice."""
        values = {"study": self.study, **asdict(result)}
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        self._file.execute(f"INSERT INTO {_table(result)} ({names}) VALUES ({marks})", values)

    def screened(self) -> dict[str, Screened]:
        """By design."""
        return {each.design: each for each in self._read(Screened)}

    def simulated(self) -> dict[str, Simulated]:
        """By design."""
        return {each.design: each for each in self._read(Simulated)}

    def _read(self, kind: type) -> list[Any]:
        names = ", ".join(field.name for field in fields(kind))
        asked = f"SELECT {names} FROM {kind.__name__.lower()} WHERE study = ? ORDER BY rowid"
        return [kind(*row) for row in self._file.execute(asked, (self.study,))]


def _table(result: Screened | Simulated) -> str:
    return type(result).__name__.lower()
