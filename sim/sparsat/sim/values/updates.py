"""UPDATE against momentum SGD written once more, in numpy's float32."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sparsat.algo.patterns import NMPattern
from sparsat.hw.config import SATConfig
from sparsat.hw.isa import instructions as isa
from sparsat.sim.values.memory import Memory, operand_copy, to_masters


def check_update(
    config: SATConfig,
    program: list[isa.Instruction],
    memory: Memory,
    generator: torch.Generator,
    run: Callable[[SATConfig, list[isa.Instruction], np.ndarray], object],
) -> tuple[Tensor, Tensor]:
    """Everything an UPDATE leaves in memory, and what it should leave, as flat tensors."""
    (op,) = program
    assert isinstance(op, isa.Update)
    turned = bool(op.transposed)
    shape = (op.taps, op.in_blocks * config.block, op.out_blocks * config.block)
    w, v, g = (torch.randn(shape, generator=generator) for _ in range(3))
    for address, values in ((op.master, w), (op.momentum, v), (op.gradient, g)):
        memory.put(address, to_masters(config, values, transposed=turned).numpy())
    run(config, [op, isa.Halt()], memory.bytes)
    pattern = NMPattern(op.n, op.m)
    new_w, new_v = _step(op, pattern, w, v, g)
    got, expected = [], []
    for address, values in ((op.new_master, new_w), (op.new_momentum, new_v)):
        flat = torch.from_numpy(memory.get(address, (values.numel(),), np.float32).copy())
        ordered = to_masters(config, values, transposed=turned)
        got.append(flat)
        expected.append(ordered.flatten())
    if op.copies:
        kept = None if pattern.is_dense else pattern
        for forward, blocks, *addresses in (
            (True, op.in_blocks, op.forward, op.forward_index),
            (False, op.out_blocks, op.backward, op.backward_index),
        ):
            rows = op.taps * blocks * config.block * op.n // op.m  # padding stays as it was
            planes = operand_copy(config, new_w, kept, forward=forward)
            for address, plane in zip(addresses, planes, strict=True):
                if plane is not None:
                    here = memory.get(address, plane.shape, plane.dtype.type)
                    got.append(_floats(here[:, :rows]))
                    expected.append(_floats(plane[:, :rows]))
    return torch.cat(got), torch.cat(expected)


def _step(
    op: isa.Update, pattern: NMPattern, w: Tensor, v: Tensor, g: Tensor
) -> tuple[Tensor, Tensor]:
    rate, factor, decay, masked, scale = (
        float(np.uint32(bits).view(np.float32))
        for bits in (op.rate, op.momentum_factor, op.decay, op.masked_decay, op.inverse_scale)
    )
    g = g * scale
    if op.copies and not pattern.is_dense:
        dropped = ~pattern.mask(w.half(), dim=1)
        g = torch.where(dropped, g + w * masked, g)
    g = g + w * decay
    v = v * factor + g
    return w - v * rate, v


def _floats(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32).reshape(-1))
