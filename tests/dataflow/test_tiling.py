"""Pieces cover every output and product once, load what they need and fit their halves."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.products import (
    HALF,
    SINGLE,
    Gemm,
    backward,
    forward,
    product,
    weight_gradient,
)
from sparsat.dataflow.tiling import Halves, cut
from sparsat.hw.config import preset

CONFIGS = st.sampled_from(["tiny", "small", "vcu1525"])


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size = draw(st.integers(kernel, 12))
    padding = draw(st.integers(0, kernel // 2))
    out = (size + 2 * padding - kernel) // stride + 1
    ci, co = (draw(st.sampled_from([1, 3, 4, 16, 72, 200])) for _ in range(2))
    window = dict(kh=kernel, kw=kernel, stride=(stride, stride), padding=(padding, padding))
    return Conv(draw(st.integers(1, 9)), size, size, ci, out, out, co, **window)  # type: ignore[arg-type]


@st.composite
def gemms(draw: st.DrawFn) -> Gemm:
    lower = draw(st.sampled_from([forward, backward, weight_gradient, None]))
    if lower is None:
        sizes = [draw(st.integers(1, 90)) for _ in range(4)]
        return product(MatMul(*sizes))[0]
    gemm = draw(st.sampled_from(lower(draw(convs()))))
    return gemm.swapped() if lower is weight_gradient and draw(st.booleans()) else gemm


@settings(max_examples=300, deadline=None)
@given(CONFIGS, gemms(), st.sampled_from([1, 8, 24]))
def test_pieces_cover_the_product(name: str, gemm: Gemm, least: int) -> None:
    config = preset(name)
    try:
        pieces = cut(config, gemm, gemm.b_bytes, least)
    except ValueError:
        assert name != "vcu1525"
        return
    halves = Halves.of(config)
    for each in pieces:
        assert min(each.shape) > 0
        assert each.hold_a <= halves.a
        assert each.hold_b <= halves.b
        assert each.hold_c <= halves.c
        assert each.load_a in (0, each.hold_a)
        assert each.load_b in (0, each.hold_b)
    stored = [each for each in pieces if each.store]
    outputs = sum(each.shape[0] * each.shape[1] * each.products for each in stored)
    assert outputs == gemm.p * gemm.q * gemm.repeat
    value = SINGLE if gemm.reduces_images else HALF
    assert sum(each.store for each in pieces) == outputs * value
    products = sum(p * q * k * each.products for each in pieces for p, q, k in [each.shape])
    needed = gemm.p * gemm.q * gemm.k * gemm.repeat
    assert products == needed
    assert sum(each.load_a for each in pieces) >= gemm.a_bytes * gemm.repeat
    assert sum(each.load_b for each in pieces) >= gemm.b_bytes * gemm.repeat
    assert not pieces[0].resume
    for before, each in pairwise(pieces):
        assert each.resume == (before.store == 0)


def test_resident_operands_are_loaded_once() -> None:
    gemm = forward(Conv(512, 32, 32, 64, 32, 32, 128, 3, 3, padding=(1, 1)))[0]
    pieces = cut(preset("vcu1525"), gemm, gemm.b_bytes)
    assert len(pieces) > 8
    assert sum(each.load_b for each in pieces) == gemm.b_bytes
    assert sum(each.load_a for each in pieces) == gemm.a_bytes
    assert sum(each.store for each in pieces) == gemm.c_bytes


def test_blocks_are_whole_units_of_the_array() -> None:
    gemm = forward(Conv(512, 4, 4, 512, 4, 4, 512, 3, 3, padding=(1, 1)))[0]
    widths = {each.shape[1] for each in cut(preset("vcu1525"), gemm, gemm.b_bytes)}
    assert all(width % 32 == 0 for width in widths)


def test_a_row_of_pixels_that_does_not_fit_is_an_error() -> None:
    gemm = forward(Conv(1, 512, 512, 64, 512, 512, 64))[0]
    with pytest.raises(ValueError, match="one row of pixels takes 65536 bytes"):
        cut(preset("tiny"), gemm, gemm.b_bytes)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_phases_of_a_strided_bp_have_the_products_of_the_convolution(kernel: int) -> None:
    pad = kernel // 2
    out = (16 + 2 * pad - kernel) // 2 + 1
    conv = Conv(2, 16, 16, 8, out, out, 12, kernel, kernel, (2, 2), (pad, pad))
    assert out == 8 or kernel == 2
    if kernel == 2:
        conv = replace(conv, padding=(0, 0), oh=8, ow=8)
    phases = backward(conv)
    assert sum(each.macs for each in phases) == conv.macs
    assert all(each.macs == each.p * each.q * each.k for each in phases)
