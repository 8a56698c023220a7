"""How much BDWP costs on this machine: `python -m sparsat.algo.bench`.

Prints the CPU time of a BDWP training step over that of a dense one, for a ResNet9 on 32×32 images
at batch 128 (pairs of steps taken in turn, median of their ratios), and the wall time in which both
masks of every weight of a ResNet50 are regenerated (median).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import NMConfig, NMPattern, prepare
from .models import build


def training_step(method: str, batch: int) -> Callable[[], None]:
    """A closure that runs one SGD step of a prepared ResNet9."""
    torch.manual_seed(0)
    model = build("resnet9")
    handle = prepare(model, NMConfig(method))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        handle.step()

    return step


def step_ratio(pairs: int, batch: int) -> tuple[float, float, float]:
    """(median of BDWP/dense CPU time, dense seconds, BDWP seconds) over `pairs` paired steps."""
    dense, sparse = training_step("dense", batch), training_step("bdwp", batch)
    for warm_up in (dense, sparse):
        warm_up()
    times = [(_cpu_seconds(dense), _cpu_seconds(sparse)) for _ in range(pairs)]
    ratio = statistics.median(b / a for a, b in times)
    return ratio, *(statistics.median(column) for column in zip(*times, strict=True))


def resnet50_weights() -> list[Tensor]:
    """The weights of ResNet50's convolutions but the first."""
    convs = [m for m in build("resnet50").modules() if isinstance(m, nn.Conv2d)]
    return [conv.weight.detach() for conv in convs[1:]]


def mask_seconds(weights: list[Tensor], repeats: int) -> float:
    """Median wall time to make both 2:8 masks of all `weights`."""
    pattern = NMPattern(2, 8)

    def regenerate() -> None:
        for w in weights:
            pattern.mask(w, 1), pattern.mask(w, 0)

    regenerate()
    return statistics.median(_wall_seconds(regenerate) for _ in range(repeats))


def _cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _wall_seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5, help="paired training steps")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    weights = resnet50_weights()
    millions, seconds = sum(w.numel() for w in weights) / 1e6, mask_seconds(weights, 9)
    print(f"threads {options.threads}")
    print(f"both 2:8 masks of ResNet50 ({millions:.1f} M weights): {seconds:.3f} s")
    ratio, dense, sparse = step_ratio(options.pairs, options.batch)
    print(f"ResNet9 step, batch {options.batch}: dense {dense:.2f} CPU-s, BDWP {sparse:.2f} CPU-s")
    print(f"BDWP / dense: {ratio:.3f} (median of {options.pairs} pairs)")


if __name__ == "__main__":
    main()
