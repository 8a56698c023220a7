"""Convolutions and linear layers as programs, against the golden layers that training uses."""

import numpy as np
import pytest
import torch
from torch import Tensor

from machine_layout import (
    Image,
    activations,
    image_bytes,
    masters,
    operand_rows,
    read_activations,
    up,
)
from machine_programs import Conv, Machine, forward, input_gradient, weight_gradient
from sparsat.algo.golden import DTYPES
from sparsat.algo.patterns import NMPattern
from sparsat.algo.sat import SatConvGemms
from sparsat.hw.config import preset
from sparsat.hw.formats import BF16
from sparsat.sim.functional import run

DENSE, SPARSE = NMPattern(8, 8), NMPattern(2, 8)
ROOM = {"a_scratch_kib": 64, "b_scratch_kib": 64, "c_scratch_kib": 64}  # for a layer in one chunk
TINY, SMALL, CARD = preset("tiny").with_(**ROOM), preset("small"), preset("vcu1525")
TINY_BF16 = TINY.with_(fmt=BF16)
ODD = Conv(images=2, size=(5, 7), inputs=11, outputs=19)
STRIDED = Conv(images=2, size=(6, 7), inputs=16, outputs=9, stride=2)
LINEAR = Conv(images=1, size=(1, 23), inputs=37, outputs=21, taps=(1, 1), padding=0)
POINTS = Conv(images=3, size=(5, 4), inputs=20, outputs=5, taps=(1, 1), stride=2, padding=0)
FLAT = Conv(images=2, size=(5, 6), inputs=16, outputs=16, taps=(2, 3), stride=3, padding=2)


def operands(conv: Conv, config, kind: str = "normal") -> tuple[Tensor, Tensor, Tensor]:
    """x [n, y, x, c], w [co, ci, ky, kx] and dy [n, y, x, c] in the operand format."""
    torch.manual_seed(7)
    shapes = (conv.x_shape, (conv.outputs, conv.inputs, *conv.taps), conv.y_shape)
    x, w, dy = (torch.randn(shape) for shape in shapes)
    if kind == "special":
        for tensor in (x, w, dy):
            flat = tensor.view(-1)
            flat[5::71], flat[9::97] = 6e4, 2e-7
        x.view(-1)[40], x.view(-1)[90] = torch.inf, torch.nan
        dy.view(-1)[30] = -torch.inf
    x, w, dy = (tensor.to(DTYPES[config.fmt]) for tensor in (x, w, dy))
    return x, w, dy


def golden(conv: Conv) -> SatConvGemms:
    return SatConvGemms((conv.stride,) * 2, (conv.padding,) * 2, (1, 1))


def channels_first(x: Tensor) -> Tensor:
    return x.float().permute(0, 3, 1, 2)


def padded_weights(config, w: Tensor) -> Tensor:
    """[co, ci, ky, kx] with channels padded to whole blocks."""
    return torch.nn.functional.pad(
        w, (0, 0, 0, 0, 0, -w.shape[1] % config.block, 0, -w.shape[0] % config.block)
    )


def rounded(y: Tensor, config) -> Tensor:
    return y.to(DTYPES[config.fmt])


def assert_same(got: Tensor, expected: Tensor) -> None:
    """The same bits; any NaN equals another."""
    got, expected = got.contiguous(), expected.contiguous()
    assert got.dtype == expected.dtype
    assert not torch.isnan(got).all()
    np.testing.assert_array_equal(got.float().numpy(), expected.float().numpy())
    bits = torch.int16 if got.element_size() == 2 else torch.int32
    zero = got == 0
    assert (got[zero].view(bits) == expected[zero].view(bits)).all()


FORWARDS = [
    (TINY, ODD, DENSE, 1, False, "normal"),
    (TINY, ODD, SPARSE, 2, False, "normal"),
    (TINY, ODD, SPARSE, 1, True, "normal"),
    (TINY, STRIDED, SPARSE, 1, False, "normal"),
    (TINY, LINEAR, DENSE, 1, False, "special"),
    (TINY, LINEAR, NMPattern(1, 4), 1, True, "normal"),
    (TINY_BF16, ODD, SPARSE, 1, False, "normal"),
    (SMALL, POINTS, NMPattern(3, 8), 3, False, "normal"),
    (SMALL, FLAT, NMPattern(5, 16), 1, False, "special"),
    (SMALL, FLAT, NMPattern(16, 16), 1, True, "special"),
]


@pytest.mark.parametrize(("config", "conv", "pattern", "per_chunk", "ws", "kind"), FORWARDS)
def test_forward(config, conv, pattern, per_chunk, ws, kind) -> None:
    ir = 1 if pattern.m == 16 else 3
    check_forward(Machine(config, pattern, ir=ir, is_=2), conv, per_chunk, ws, kind)


def test_forward_on_the_card() -> None:
    """Sizes of a real layer, 2.4 million multiplications dense."""
    conv = Conv(images=1, size=(8, 8), inputs=64, outputs=64)
    check_forward(Machine(CARD, SPARSE, ir=4, is_=2), conv, 1, False, "normal")


def check_forward(machine: Machine, conv: Conv, per_chunk: int, ws: bool, kind: str) -> None:
    config = machine.config
    x, w, _ = operands(conv, config, kind)
    w = machine.pattern.prune(padded_weights(config, w), dim=1)
    matrix = w.permute(2, 3, 1, 0).flatten(0, 2)  # [K, Q]
    image = Image(config)
    planes = operand_rows(config, matrix, machine.pattern)
    weights = (image.put(planes[0]), image.put(planes[1]))
    x_at = image.put(activations(config, x))
    y_at = image.room(conv.images * image_bytes(config, conv.y_shape[1:]))
    memory = image.memory()
    flags = run(config, forward(machine, conv, x_at, weights, y_at, per_chunk, ws), memory)
    plain = w[: conv.outputs, : conv.inputs].float()
    expected = golden(conv).ff(channels_first(x), plain, None).permute(0, 2, 3, 1)
    got = read_activations(config, memory, y_at, conv.y_shape)
    assert_same(got, rounded(expected, config))
    assert not flags.overflow
    whole = (*conv.y_shape[:3], up(conv.outputs, config.block))
    padding = read_activations(config, memory, y_at, whole)[..., conv.outputs :]
    assert kind == "special" or not padding.any()


GRADIENTS = [
    (TINY, ODD, SPARSE, "normal"),
    (TINY, STRIDED, SPARSE, "special"),
    (TINY, STRIDED, DENSE, "normal"),
    (TINY, LINEAR, NMPattern(2, 4), "normal"),
    (SMALL, FLAT, SPARSE, "normal"),
    (TINY_BF16, STRIDED, DENSE, "normal"),
]


@pytest.mark.parametrize(("config", "conv", "pattern", "kind"), GRADIENTS)
def test_input_gradient(config, conv, pattern, kind) -> None:
    machine = Machine(config, pattern)
    x, w, dy = operands(conv, config, kind)
    w = pattern.prune(padded_weights(config, w), dim=0)
    matrix = w.permute(2, 3, 0, 1).flatten(0, 2)  # [K = tap, co; ci]
    image = Image(config)
    planes = operand_rows(config, matrix, pattern)
    weights = (image.put(planes[0]), image.put(planes[1]))
    dy_at = image.put(activations(config, dy))
    dx_at = image.room(conv.images * image_bytes(config, conv.x_shape[1:]))
    memory = image.memory()
    run(config, input_gradient(machine, conv, dy_at, weights, dx_at), memory)
    plain = w[: conv.outputs, : conv.inputs].float()
    expected = golden(conv).bp(channels_first(dy), plain, channels_first(x)).permute(0, 2, 3, 1)
    got = read_activations(config, memory, dx_at, conv.x_shape)
    assert_same(got, rounded(expected, config))


WEIGHT_GRADIENTS = [
    (TINY, ODD, 4, False, "normal"),
    (TINY, ODD, 4, True, "special"),
    (TINY, STRIDED, 2, False, "normal"),
    (TINY, LINEAR, 1, False, "special"),
    (SMALL, POINTS, 4, False, "normal"),
    (TINY_BF16, STRIDED, 4, False, "normal"),
]


@pytest.mark.parametrize(("config", "conv", "ir", "ws", "kind"), WEIGHT_GRADIENTS)
def test_weight_gradient(config, conv, ir, ws, kind) -> None:
    machine = Machine(config, DENSE, ir=ir, is_=3)
    x, w, dy = operands(conv, config, kind)
    image = Image(config)
    x_at, dy_at = image.put(activations(config, x)), image.put(activations(config, dy))
    shape = (conv.tap_count, up(conv.inputs, config.block), up(conv.outputs, config.block))
    dw_at = image.room(4 * int(np.prod(shape)))
    memory = image.memory()
    run(config, weight_gradient(machine, conv, x_at, dy_at, dw_at, ws), memory)
    dw = golden(conv).wu(channels_first(dy), channels_first(x), w.float())
    taps = torch.zeros(shape)
    taps[:, : conv.inputs, : conv.outputs] = dw.permute(2, 3, 1, 0).flatten(0, 1)
    kept = (
        torch.from_numpy(
            masters(config, torch.ones_like(taps[:, : conv.inputs, : conv.outputs])).view(
                np.float32
            )
        )
        == 1
    )
    got = torch.from_numpy(memory[dw_at : dw_at + 4 * taps.numel()].copy()).view(torch.float32)
    expected = torch.from_numpy(masters(config, taps)).view(torch.float32)
    assert_same(got[kept], expected[kept])
