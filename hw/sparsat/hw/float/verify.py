"""Millions of vectors through the floating-point units, Verilated, against the oracles.

Run as `python -m sparsat.hw.float.verify`. Every unit gets all combinations of its corner values
and random vectors from its strata (`sparsat.hw.float.stimulus`). The hardware is compared with the
vectorised oracle on all of them, and that oracle with MPFR on the corners and on a random part of
the rest (`sparsat.hw.float.oracle`). The exit status is 1 where any of them differ.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sparsat.hw.float import oracle, stimulus
from sparsat.hw.float.cases import Case, cases
from sparsat.hw.float.stimulus import Vectors
from sparsat.hw.formats import FloatFormat
from sparsat.hw.tools.streaming import VectorHarness

COLUMNS = ("unit", "format", "vectors", "corners", "by MPFR", "mismatches", "seconds", "M/s")
BATCH = 1 << 20
"""Vectors held in memory at once."""
REFERENCED = 1_000_000
"""Vectors compared with MPFR: no unit has more corners."""
SHOWN = 5
"""Mismatches kept of each unit."""


@dataclass(frozen=True)
class Mismatch:
    """A vector to which `source` gave another answer than it should."""

    source: str
    inputs: dict[str, int]
    expected: int
    got: int

    def describe(self, formats: Mapping[str, FloatFormat | None]) -> str:
        """One line: each word in hexadecimal and, where it has a format, as a number."""
        words = {**self.inputs, "expected": self.expected, "got": self.got}
        formats = {**formats, "expected": formats["o"], "got": formats["o"]}
        shown = (f"{name} {_show(word, formats.get(name))}" for name, word in words.items())
        return f"{self.source}: {', '.join(shown)}"


@dataclass
class Result:
    """What became of one case; `seconds` is all its time, its Verilator build included."""

    unit: str
    format: str
    vectors: int = 0
    corners: int = 0
    referenced: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    hardware_seconds: float = 0.0
    first: list[Mismatch] = field(default_factory=list)

    def row(self) -> tuple[str, ...]:
        """The cells under `COLUMNS`; the rate is that of the Verilated unit alone."""
        counts = (self.vectors, self.corners, self.referenced, self.mismatches)
        rate = (self.vectors + self.corners) / self.hardware_seconds / 1e6
        shown = (f"{count:,}" for count in counts)
        return (self.unit, self.format, *shown, f"{self.seconds:.1f}", f"{rate:.1f}")


class Verification:
    """Tries all corners of one case and `vectors` random vectors.

    At least `referenced` of the corners, and as many of the random vectors, go through MPFR too,
    or all where there are fewer. Raises `ValueError` where `vectors` is not positive, as nothing
    would be shown.
    """

    def __init__(self, case: Case, vectors: int, seed: int = 0, referenced: int = REFERENCED):
        if vectors < 1:
            raise ValueError(f"vectors is {vectors}, expected at least 1")
        self.case = case
        self._random = vectors if case.strata else 0
        self._referenced = referenced
        self._rng = np.random.default_rng(seed)
        self._corners = case.corners()
        self._result = Result(case.unit, case.fmt.name)

    @property
    def total(self) -> int:
        """Vectors to be tried."""
        return _count(self._corners) + self._random

    def run(self, advance: Callable[[int], None] = lambda count: None) -> Result:
        """Try them; `advance` is told of each batch's size when it is done."""
        start, result = time.perf_counter(), self._result
        component = self.case.component()
        self._harness = VectorHarness(component, f"{type(component).__name__}_{result.format}")
        for batch in self._corner_batches():
            self._compare(batch, _count(self._corners))
            result.corners += _count(batch)
            advance(_count(batch))
        for batch in self._random_batches():
            self._compare(batch, self._random)
            result.vectors += _count(batch)
            advance(_count(batch))
        result.seconds = time.perf_counter() - start
        return result

    def _corner_batches(self) -> Iterator[Vectors]:
        for start in range(0, _count(self._corners), BATCH):
            yield {port: words[start : start + BATCH] for port, words in self._corners.items()}

    def _random_batches(self) -> Iterator[Vectors]:
        for start in range(0, self._random, BATCH):
            size = min(BATCH, self._random - start)
            yield stimulus.draw(self.case.strata, self._rng, size)

    def _compare(self, batch: Vectors, of: int) -> None:
        """Compare a batch with the first oracle, and its share, `of` so many, with the second."""
        case, result = self.case, self._result
        expected = case.expected(*case.numbers(batch))
        start = time.perf_counter()
        got = self._harness.run(**batch)["o"]
        result.hardware_seconds += time.perf_counter() - start
        self._record("hardware", batch, expected, got)

        share = -(-self._referenced * _count(batch) // of)
        chosen = self._rng.permutation(_count(batch))[:share]
        part = {port: words[chosen] for port, words in batch.items()}
        inputs = zip(*(words.tolist() for words in case.numbers(part)), strict=True)
        exact = np.array([case.reference(*words) for words in inputs], expected.dtype)
        self._record("numpy oracle", part, exact, expected[chosen])
        result.referenced += len(exact)

    def _record(self, source: str, batch: Vectors, expected: np.ndarray, got: np.ndarray) -> None:
        result, wrong = self._result, np.flatnonzero(expected != got)
        result.mismatches += len(wrong)
        for i in wrong[: SHOWN - len(result.first)]:
            inputs = {port: int(words[i]) for port, words in batch.items()}
            result.first.append(Mismatch(source, inputs, int(expected[i]), int(got[i])))


def run_all(chosen: Iterable[Case], vectors: int, seed: int) -> Iterator[Result]:
    """Try each case in turn, showing progress."""
    with Progress(transient=True) as progress:
        for case in chosen:
            verification = Verification(case, vectors, seed)
            task = progress.add_task(case.name, total=verification.total)
            yield verification.run(partial(progress.advance, task))


def to_table(results: Iterable[Result]) -> Table:
    table = Table(title="Floating-point units", box=box.SIMPLE, collapse_padding=True)
    for column in COLUMNS:
        text = column in ("unit", "format")
        table.add_column(column, justify="left" if text else "right", no_wrap=True)
    for result in results:
        table.add_row(*result.row())
    return table


def main() -> None:
    listed = cases()
    arguments = _arguments(listed)
    chosen = [listed[name] for name in arguments.unit or listed]
    results = list(run_all(chosen, arguments.vectors, arguments.seed))
    console = Console()
    console.print(to_table(results))
    for case, result in zip(chosen, results, strict=True):
        for mismatch in result.first:
            console.print(f"{case.name} {mismatch.describe(case.formats)}", soft_wrap=True)
    if arguments.json:
        content = {"seed": arguments.seed, "units": [asdict(result) for result in results]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    sys.exit(any(result.mismatches for result in results))


def _arguments(listed: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Verify the floating-point units.")
    parser.add_argument("--vectors", type=_positive, default=10_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--unit", nargs="+", choices=[*listed], metavar="NAME", help="only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    return parser.parse_args()


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, expected at least 1")
    return int(text)


def _count(vectors: Vectors) -> int:
    return len(next(iter(vectors.values())))


def _show(word: int, fmt: FloatFormat | None) -> str:
    if fmt is None:
        return f"{word:#x}"
    return f"{word:#0{2 + fmt.width // 4}x} ({oracle.number(fmt, word):.9g})"


if __name__ == "__main__":
    main()
