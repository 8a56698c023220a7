"""The paper's speed-up and ablations on the simulated machine: `make reproduce`.

Prints docs/reproduction.md; its sentences are in reproduce.md beside this file.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.progress import track

from sparsat.dataflow.ir import Conv
from sparsat.dataflow.models import BUILTINS
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.step_cache import captured_step
from sparsat.sim.boards import Board, board
from sparsat.sim.exhaustive import Product, products
from sparsat.sim.markdown import table
from sparsat.sim.simulate import Pattern, Timed, simulate_once

BATCH = 512
PATTERN = (2, 8)
PATTERNS = ((2, 4), (1, 4), (2, 8), (1, 8), (1, 16))
ABLATIONS = ("no-interleave", "online-sore", "os", "ws", "paper")
SEARCHED = "resnet18"
"""The model whose products are run by every plan."""

Case = tuple[str, Pattern | None]
"""A schedule and a pattern, None for dense."""
DENSE: Case = ("optimal", None)
SPARSE: Case = ("optimal", PATTERN)
CASES: tuple[Case, ...] = (
    DENSE,
    *(("optimal", pattern) for pattern in PATTERNS),
    *((name, PATTERN) for name in ABLATIONS),
)


@dataclass(frozen=True)
class Run:
    """One step: its totals (`Timed.totals`), by layer the cycles of its FF, BP and WU, and which
    layers have weights pruned."""

    totals: Mapping[str, Any]
    layers: Mapping[str, int]
    pruned: Collection[str]

    @classmethod
    def of(cls, timed: Timed) -> "Run":
        layers: Counter[str] = Counter()
        for planned, op in zip(timed.plans, timed.ops(), strict=True):
            if isinstance(planned.op.work, Conv):
                layers[op["layer"]] += op["cycles"]
        pruned = {planned.op.layer for planned in timed.plans if planned.pattern}
        return cls(timed.totals(), layers, pruned)


Runs = Mapping[Case, Run]


def runs(model: str, batch: int, place: Board) -> dict[Case, Run]:
    """All cases of one model."""
    step = captured_step(model, batch)
    return {
        (name, pattern): Run.of(simulate_once(step, place, SCHEDULES[name], pattern))
        for name, pattern in CASES
    }


def ratio(found: Runs, key: str, case: Case, other: Case) -> float:
    """`key` of one case over that of the other."""
    return found[case].totals[key] / found[other].totals[key]


def slower_layers(found: Runs) -> Iterator[str]:
    """Layers whose products take longer at 2:8 than in dense training, and by how much."""
    dense, sparse = found[DENSE].layers, found[SPARSE].layers
    for layer, cycles in dense.items():
        if sparse[layer] > cycles:
            kept = "" if layer in found[SPARSE].pruned else ", dense in both"
            yield f"{layer} ({sparse[layer] / cycles - 1:.1%}{kept})"


def speedups(models: Mapping[str, Runs]) -> str:
    columns = ("macs", "gemm_cycles", "cycles")
    measures = [lambda found, key=key: ratio(found, key, DENSE, SPARSE) for key in columns]
    head = ("model", "MACs, dense / 2:8", "GEMM+update", "whole step")
    return table(head, [*_rows(models, measures), ("the paper's mean", "", "1.75", "1.75")])


def times(models: Mapping[str, Runs]) -> str:
    head = ("model", "weights", "cycles", "ms", "utilisation, GEMM+update", "whole step")
    rows = []
    for model, found in models.items():
        for name, case in (("dense", DENSE), ("2:8", SPARSE)):
            totals = found[case].totals
            used = (f"{totals[key]:.1%}" for key in ("gemm_utilization", "utilization"))
            time = (f"{totals['cycles']:,}", f"{1e3 * totals['seconds']:,.1f}")
            rows.append((model, name, *time, *used))
    return table(head, rows)


def ablations(models: Mapping[str, Runs], key: str) -> str:
    measures = [
        lambda found, name=name: ratio(found, key, (name, PATTERN), SPARSE) for name in ABLATIONS
    ]
    return table(("model", *ABLATIONS), _rows(models, measures))


def patterns(models: Mapping[str, Runs]) -> str:
    keys = ("macs", "gemm_cycles", "cycles")
    rows = []
    for n, m in PATTERNS:
        case = ("optimal", (n, m))
        gains = (mean(ratio(found, key, DENSE, case) for found in models.values()) for key in keys)
        used = mean(found[case].totals["gemm_utilization"] for found in models.values())
        rows.append((f"{n}:{m}", *(f"{gain:.3f}" for gain in gains), f"{used:.1%}"))
    head = ("pattern", "MACs, dense / sparse", "GEMM+update", "whole step", "utilisation")
    return table(head, rows)


def _rows(
    models: Mapping[str, Runs], measures: Sequence[Callable[[Runs], float]]
) -> Iterator[tuple[str, ...]]:
    """A row of measures for each model, and their means."""
    columns = [[measure(found) for found in models.values()] for measure in measures]
    for index, model in enumerate(models):
        yield model, *(f"{column[index]:.3f}" for column in columns)
    yield "mean", *(f"{mean(column):.3f}" for column in columns)


def page(models: Mapping[str, Runs], searched: Sequence[Product]) -> str:
    """docs/reproduction.md."""
    slower = [
        f"{model} {layer}" for model, found in models.items() for layer in slower_layers(found)
    ]
    regret = mean(
        ratio(found, "gemm_cycles", ("paper", PATTERN), SPARSE) - 1 for found in models.values()
    )
    traffic = mean(
        ratio(found, "dram_bytes", ("online-sore", PATTERN), SPARSE) - 1
        for found in models.values()
    )
    worst = max(searched, key=lambda each: each.gap)
    whole = sum(each.chosen for each in searched) / sum(each.best for each in searched) - 1
    text = Path(__file__).with_suffix(".md").read_text()
    return text.format(
        batch=BATCH,
        speedups=speedups(models),
        times=times(models),
        ablations=ablations(models, "gemm_cycles"),
        whole_ablations=ablations(models, "cycles"),
        regret=f"{regret:.1%}",
        traffic=f"{traffic:.1%}",
        patterns=patterns(models),
        slower=f"By some: {', '.join(slower)}." if slower else "None is slower.",
        searched=SEARCHED,
        products=len(searched),
        plans=f"{sum(each.plans for each in searched):,}",
        best=sum(each.chosen == each.best for each in searched),
        worst=f"{worst.gap:.1%}",
        worst_name=worst.op.name,
        worst_share=f"{worst.chosen / sum(each.chosen for each in searched):.2%}",
        whole=f"{whole:.2%}",
    )


def main() -> None:
    console, place = Console(stderr=True), board("vcu1525")
    models = {
        model: runs(model, BATCH, place)
        for model in track(BUILTINS, "Simulating", console=console, transient=True)
    }
    step = captured_step(SEARCHED, BATCH)
    searched = [
        *track(
            products(place.config, step, PATTERN, place.memory),
            "Running every plan",
            console=console,
            transient=True,
        )
    ]
    print(page(models, searched), end="")


if __name__ == "__main__":
    main()
