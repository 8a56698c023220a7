"""The search: rounds of designs from the front so far, screened; the front simulated in full.

A round depends only on the seed and on the rounds before it, so a search that was killed goes on as
if it had not been, however many work on it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import sparsat
from sparsat.dataflow.ir import Step
from sparsat.hw import measure
from sparsat.hw.device import DEVICES
from sparsat.sim.boards import Board
from sparsat.sim.explore import jobs
from sparsat.sim.explore.database import Database, Screened, Simulated
from sparsat.sim.explore.front import coarse, pareto
from sparsat.sim.explore.screen import Estimate
from sparsat.sim.explore.space import CHOICES, Candidate, Design, candidate, mutated, random_design

ROUND = 128
"""Designs of a round."""
FRESH = 0.25
"""Of a round's designs, how many are random; the others are neighbours of the front."""
TRIES = 2000
"""Draws after which a round has no more new designs."""
SAMPLE = 16
"""Random designs that are simulated too, to know the error of screening."""

NOT_SIMULATED = Simulated("")

Progress = Callable[[str, int], None]
"""Told what was done (`screened`, `simulated`) and how many."""


@dataclass(frozen=True)
class Study:
    """What is explored: nothing else changes what is found."""

    step: Step
    board: Board
    patterns: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Point:
    """A design and what is known of it; `simulated` is empty until it was simulated."""

    design: Design
    candidate: Candidate
    screened: Screened
    simulated: Simulated = NOT_SIMULATED

    @property
    def verified(self) -> bool:
        return self.simulated is not NOT_SIMULATED

    @property
    def error(self) -> str:
        """Why there is no such design."""
        return self.screened.error or self.simulated.error

    @property
    def objectives(self) -> tuple[float, float, float]:
        """Seconds of a step, LUTs, joules of a step: by the simulator if it was simulated."""
        known = self.simulated if self.verified else self.screened
        return known.seconds, self.screened.lut, known.joules

    @property
    def errors(self) -> tuple[float, float]:
        """How far screening was from the simulator, in time and in energy."""
        one, other = self.screened, self.simulated
        return one.seconds / other.seconds - 1, one.joules / other.joules - 1


class Search:
    """One study, `budget` designs of it screened.

    Workers are `executor`'s, `workers` of them.
    """

    def __init__(
        self, study: Study, database: Database, executor: Executor, workers: int, told: Progress
    ) -> None:
        self.study, self.told = study, told
        self._database, self._executor, self._workers = database, executor, workers
        self._text = study.step.to_json()
        self._device = DEVICES[study.board.name]
        self._known = database.screened()
        self._simulated = database.simulated()
        self._points: dict[str, Point] = {}

    def run(self, budget: int) -> list[Point]:
        """The fronts of all patterns, every design on them simulated.

        Rounds go by what screening found alone, whatever of them was simulated before.
        """
        number = 0
        while len(self._points) < budget and self._round(number, budget):
            number += 1
        self._simulate(self.sample())
        return self._verified_front()

    # -- screening -------------------------------------------------------------------------------

    def _round(self, number: int, budget: int) -> bool:
        """Whether there were any new designs."""
        most = min(ROUND, budget - len(self._points))
        wanted = list(self._proposed(number))[:most]
        missing = [each for each in wanted if each.design.key not in self._known]
        self.told("screened", len(wanted) - len(missing))
        self._screen(number, missing)
        for each in wanted:
            key = each.design.key
            self._points[key] = Point(each.design, each, self._known[key])
        return bool(wanted)

    def _proposed(self, number: int) -> Iterator[Candidate]:
        """New designs that fit, `ROUND` unless there are so many no longer."""
        rng = Random(f"{self.study.seed} {number}")
        parents = [point.design for point in self.front()]
        seen = set(self._points)
        for _ in range(TRIES):
            fresh = not parents or rng.random() < FRESH
            design = (
                random_design(rng, self.study.patterns)
                if fresh
                else mutated(rng, rng.choice(parents), self.study.patterns)
            )
            if design.key not in seen and (found := candidate(design, self._device)):
                seen.add(design.key)
                yield found
            if len(seen) - len(self._points) == ROUND:
                return

    def _screen(self, number: int, wanted: Sequence[Candidate]) -> None:
        def submit(chunk: Sequence[Candidate]) -> Future:
            tasks = [(each.config, each.design.n_and_m) for each in chunk]
            memory = self.study.board.memory
            return self._executor.submit(jobs.screen, self._text, memory, tasks)

        chunks = [wanted[at : at + jobs.CHUNK] for at in range(0, len(wanted), jobs.CHUNK)]
        for chunk, results in self._done(chunks, submit):
            for each, found in zip(chunk, results, strict=True):
                result = _screened(each, number, found)
                self._database.add(result)
                self._known[result.design] = result
            self.told("screened", len(chunk))

    # -- simulating ------------------------------------------------------------------------------

    def sample(self) -> list[Point]:
        """Random ones of the designs screened."""
        good = [point for point in self._points.values() if not point.error]
        return Random(self.study.seed).sample(good, min(SAMPLE, len(good)))

    def _verified_front(self) -> list[Point]:
        """What turns out worse than screening thought may leave the front to others."""
        while True:
            front = self.front()
            missing = [point for point in front if not point.verified]
            if not missing:
                return front
            self._simulate(missing)

    def _simulate(self, wanted: Sequence[Point]) -> None:
        missing = [point for point in wanted if point.design.key not in self._simulated]

        def submit(point: Point) -> Future:
            board = replace(self.study.board, config=point.candidate.config)
            pattern = point.design.n_and_m
            return self._executor.submit(jobs.simulate, self._text, board, pattern)

        for point, totals in self._done(missing, submit):
            result = _simulated(point.design.key, totals)
            self._database.add(result)
            self._simulated[result.design] = result
            self.told("simulated", 1)
        for key in (point.design.key for point in wanted):
            self._points[key] = replace(self._points[key], simulated=self._simulated[key])

    def _done(
        self, wanted: Iterable[Any], submit: Callable[[Any], Future]
    ) -> Iterator[tuple[Any, Any]]:
        """Each of `wanted` with its result, as they come; no more under way than workers need."""
        waiting: dict[Future, Any] = {}
        left = iter(wanted)
        while True:
            while len(waiting) < 2 * self._workers and (each := next(left, None)) is not None:
                waiting[submit(each)] = each
            if not waiting:
                return
            for future in wait(waiting, return_when="FIRST_COMPLETED").done:
                yield waiting.pop(future), future.result()

    # -- results ---------------------------------------------------------------------------------

    def front(self) -> list[Point]:
        """The designs of each pattern's Pareto front, the fastest first."""
        found: list[Point] = []
        for pattern in self.study.patterns:
            points = [
                point
                for point in self._points.values()
                if point.design.pattern == pattern and not point.error
            ]
            if points:
                objectives = coarse([point.objectives for point in points])
                best = [points[index] for index in pareto(objectives)]
                found += sorted(best, key=lambda point: point.objectives)
        return found

    @property
    def points(self) -> list[Point]:
        """All designs that could be screened."""
        return [point for point in self._points.values() if not point.error]


def _screened(each: Candidate, number: int, found: Estimate | str) -> Screened:
    hz = each.config.clock_hz
    result = Screened(each.design.key, number, each.cost.lut, hz)
    if isinstance(found, str):
        return replace(result, error=found)
    return replace(result, seconds=found.cycles / hz, joules=found.joules)


def _simulated(key: str, totals: dict[str, Any] | str) -> Simulated:
    if isinstance(totals, str):
        return Simulated(key, error=totals)
    return Simulated(
        key,
        totals["seconds"],
        totals["energy_joules"],
        totals["gflops_effective"],
        totals["gflops_dense_equivalent"],
        totals["utilization"],
    )


def screening_errors(sample: Sequence[Point]) -> dict[str, tuple[float, float]]:
    """Of time and of energy: the mean and the largest error, both absolute."""
    good = [point for point in sample if point.verified and not point.error]
    if not good:
        return {}
    errors = np.abs(np.array([point.errors for point in good]))
    return {
        name: (float(errors[:, i].mean()), float(errors[:, i].max()))
        for i, name in enumerate(("time", "energy"))
    }


def settings(study: Study) -> dict[str, Any]:
    """What names a study: other results must not be mixed with its own.

    The digest is of everything that results depend on: the step, and the sources of this package
    and of those it uses.
    """
    digest = sha256(study.step.to_json().encode())
    for part in ("hw", "dataflow", "sim"):
        for root in sparsat.__path__:
            for path in sorted((Path(root) / part).rglob("*.py")):
                digest.update(path.read_bytes())
    digest.update(measure.FILE.read_bytes())
    return {
        "model": study.step.model,
        "batch": study.step.batch,
        "board": study.board.name,
        "patterns": study.patterns,
        "seed": study.seed,
        "digest": digest.hexdigest()[:16],
    }


assert set(Design.__dataclass_fields__) == {*CHOICES, "pattern"}
