"""Run one GEMM on the generated array and compare it with the golden model."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from sparsat.algo.golden import DTYPES, gemm, gemm_packed
from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.array_gemm import ArrayGemm, GroupedB
from sparsat.hw.timing import array_cycles
from sparsat.hw.tools.array_model import ArrayModel


@dataclass(frozen=True)
class GemmResult:
    """What a run showed.

    `mismatches` counts outputs whose bits differ from the golden model's; `cycles` is what the
    hardware took, `expected_cycles` the closed form; `utilization` is useful multiplications per
    cell and cycle; `cycles_per_second` the simulation's speed in CPU time.
    """

    outputs: int
    mismatches: int
    macs: int
    cycles: int
    expected_cycles: int
    utilization: float
    cycles_per_second: float


def run_gemm(mapping: ArrayGemm, seed: int) -> GemmResult:
    """Random operands (standard normal), pruned by magnitude, through the array in Verilator."""
    generator = torch.Generator().manual_seed(seed)
    dtype = DTYPES[mapping.config.fmt]
    a = torch.randn(mapping.p, mapping.k, generator=generator).to(dtype)
    weights = torch.randn(mapping.k, mapping.q, generator=generator).to(dtype)
    grouped, golden = _prune(mapping, a, weights)
    model = ArrayModel(mapping.config)
    streams = mapping.streams(a.view(torch.uint16).numpy(), grouped)
    started = time.process_time()
    sums, cycles, *_ = model.run([mapping.op], streams)
    seconds = time.process_time() - started
    got = mapping.outputs(sums)
    macs = mapping.p * mapping.q * (mapping.k // mapping.m) * mapping.n
    return GemmResult(
        outputs=got.size,
        mismatches=int(np.count_nonzero(got != golden)),
        macs=macs,
        cycles=int(cycles[0]),
        expected_cycles=array_cycles(mapping.config, mapping.op),
        utilization=macs / (mapping.config.cells * int(cycles[0])),
        cycles_per_second=int(cycles[0]) / max(seconds, 1e-9),
    )


def _prune(
    mapping: ArrayGemm, a: torch.Tensor, weights: torch.Tensor
) -> tuple[GroupedB, np.ndarray]:
    """B as the array takes it, and the golden sums' bits [P, Q]."""
    fmt = mapping.config.fmt
    if mapping.n == mapping.m:
        bits = weights.view(torch.uint16).numpy()
        golden = gemm(a, weights, fmt=fmt)
        return GroupedB.dense(bits, mapping.m), golden.numpy().view(np.uint32)
    values, indices = NMPattern(mapping.n, mapping.m).pack(weights.t().contiguous(), 1)
    golden = gemm_packed(a, values, indices, mapping.m, fmt=fmt)
    grouped = GroupedB(values.contiguous().view(torch.uint16).numpy(), indices.numpy())
    return grouped, golden.numpy().view(np.uint32)
