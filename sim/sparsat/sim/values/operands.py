"""Operands as an operation expects them in memory, random ones, and its results read back."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.geometry import groups_together
from sparsat.dataflow.ir import Conv
from sparsat.dataflow.layout import Activation, Weights
from sparsat.dataflow.nests import Pair, Reduce, Spread
from sparsat.dataflow.operands import Operands
from sparsat.hw.config import SATConfig
from sparsat.sim.values.memory import (
    Memory,
    arranged,
    from_masters,
    operand_copy,
    padded_weights,
)


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    """fp16, standard normal."""
    return torch.randn(*shape, generator=generator).half()


def plain(work: Conv, stage: str) -> tuple[Conv, str]:
    """A transposed convolution as the plain one whose gradient it is."""
    if not work.transposed:
        return work, stage
    return work.mirrored(), {"FF": "BP", "BP": "FF"}.get(stage, stage)


def image(layout: Activation, work: Conv, x: Tensor, *, patches: bool = False) -> Tensor:
    """NCHW as the layout has it: tokens of an image, or patches of the first layer's input."""
    taps = work.kh * work.kw
    if patches and taps > 1 and layout.channels == work.ci * taps:
        columns = F.unfold(x, (work.kh, work.kw), work.dilation, work.padding, work.stride)
        x = columns.unflatten(1, (work.ci, taps)).transpose(1, 2).flatten(1, 2)
        x = x.unflatten(2, (work.oh, work.ow))
    pixels = x.movedim(1, -1)
    pixels = F.pad(pixels, (0, layout.channels - pixels.shape[-1]))
    shape = (layout.images, layout.height, layout.width, layout.channels)
    return arranged(layout, pixels.reshape(shape))


def get_image(
    memory: Memory, at: Operands, nest: Spread, work: Conv, stage: str, like: Tensor
) -> Tensor:
    """NCHW of the stored result."""
    channels = work.co if stage == "FF" else work.ci
    pixels = memory.get_activation(at.out, nest.out)[..., :channels]
    if like.shape[0] != nest.out.images:
        pixels = pixels.reshape(like.shape[0], 1, 1, channels)
    return pixels.movedim(-1, 1)


def _joined(config: SATConfig, work: Conv, weight: Tensor) -> list[Tensor]:
    """The weight [co, ci / groups, kh, kw] as one [taps, inputs, outputs] per product, with zeros
    outside the blocks of joined groups."""
    ci, co = work.ci // work.groups, work.co // work.groups
    together = min(groups_together(config, work), work.groups)
    found = []
    for first in range(0, work.groups, together):
        whole = weight.new_zeros(work.kh * work.kw, together * ci, together * co)
        for i in range(min(together, work.groups - first)):
            part = weight[(first + i) * co : (first + i + 1) * co].flatten(2).permute(2, 1, 0)
            whole[:, i * ci : (i + 1) * ci, i * co : (i + 1) * co] = part
        found.append(whole)
    return found


def whole_weights(config: SATConfig, work: Conv, weights: Weights, weight: Tensor) -> list[Tensor]:
    """The weight [co, ci / groups, kh, kw] of any type as [taps, inputs, outputs] in whole blocks,
    one per product."""
    parts = _joined(config, work, weight)
    if weights.taps == 1 and work.kh * work.kw > 1:
        parts = [part.flatten(0, 1)[None] for part in parts]
    return [padded_weights(weights, part) for part in parts]


def put_weight(
    config: SATConfig,
    memory: Memory,
    at: Operands,
    work: Conv,
    nest: Spread,
    weight: Tensor,
    pattern: NMPattern | None,
    *,
    forward: bool,
) -> None:
    """The operand copies of all products, one after another."""
    value, index = at.b, at.b_index
    for whole in whole_weights(config, work, nest.weights, weight):
        values, indices = operand_copy(config, whole, pattern, forward=forward)
        memory.put(value, values)
        value += values.nbytes
        if indices is not None:
            memory.put(index, indices)
            index += indices.nbytes


def get_gradient(
    config: SATConfig, memory: Memory, at: Operands, work: Conv, nest: Reduce
) -> Tensor:
    """[co, ci / groups, kh, kw]: of joined groups the blocks that are weights."""
    weights = nest.weights
    flat = memory.get(at.out, (nest.products, weights.elements), np.float32)
    ci, co = work.ci // work.groups, work.co // work.groups
    together = groups_together(config, work)
    found = []
    for group in range(work.groups):
        part = torch.from_numpy(flat[group // together].copy())
        whole = from_masters(config, weights, part, transposed=nest.turned)
        i = group % together
        if weights.taps == 1 and work.kh * work.kw > 1:
            whole = whole[0, : work.kh * work.kw * ci].unflatten(0, (work.kh * work.kw, ci))
        block = whole[:, i * ci : (i + 1) * ci, i * co : (i + 1) * co]
        found.append(block.permute(2, 1, 0).unflatten(2, (work.kh, work.kw)))
    return torch.cat(found)


def product_operands(nest: Pair, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A [batch, p, k] and B [batch, k, q] as they lie in memory: each image is a plane."""
    left = a.transpose(1, 2) if nest.a_turned else a
    right = b.transpose(1, 2) if nest.b_turned else b
    return arranged(nest.a, left[:, None]), arranged(nest.b, right[:, None])


def product_result(nest: Pair, c: Tensor) -> Tensor:
    """C [batch, p, q] as it lies in memory."""
    return arranged(nest.out, c[:, None])


def get_product(memory: Memory, at: Operands, nest: Pair) -> Tensor:
    """fp16 [batch, p, q]."""
    return memory.get_activation(at.out, nest.out)[:, 0]
