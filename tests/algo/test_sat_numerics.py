"""The accelerator's numerics in FF, BP and WU: the right operands meet, in the right order."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsat.algo import NMConfig, prepare
from sparsat.algo.gemms import ConvGemms, LinearGemms
from sparsat.algo.golden import gemm_packed
from sparsat.algo.layers import Product, SatProduct
from sparsat.algo.models.transformer import Attention
from sparsat.algo.sat import SatConvGemms, SatLinearGemms, sat_conv2d, sat_linear, sat_product

GEOMETRIES = {
    "plain": dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1)),
    "padded": dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1)),
    "strided": dict(stride=(2, 2), padding=(1, 1), dilation=(1, 1)),
    "uneven": dict(stride=(3, 2), padding=(0, 2), dilation=(1, 2)),
    "sparse-taps": dict(stride=(2, 2), padding=(1, 1), dilation=(2, 2)),
}


def integers(*shape: int) -> Tensor:
    """Small integers: every sum is exact, so any order gives the same bits."""
    return torch.randint(-3, 4, shape).float()


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_convolution_equals_torch_on_integers(geometry: dict) -> None:
    torch.manual_seed(0)
    ours, reference = SatConvGemms(**geometry), ConvGemms(**geometry)
    x, w, bias = integers(2, 4, 9, 8), integers(6, 4, 3, 2), integers(6)
    y = reference.ff(x, w, bias)
    assert torch.equal(ours.ff(x, w, bias), y)
    dy = torch.randint_like(y, -3, 4)
    assert torch.equal(ours.bp(dy, w, x), reference.bp(dy, w, x))
    assert torch.equal(ours.wu(dy, x, w), reference.wu(dy, x, w))


def test_linear_equals_torch_on_integers() -> None:
    torch.manual_seed(0)
    x, w, bias = integers(2, 3, 8), integers(16, 8), integers(16)
    ours, reference = SatLinearGemms(), LinearGemms()
    dy = integers(2, 3, 16)
    assert torch.equal(ours.ff(x, w, bias), reference.ff(x, w, bias))
    assert torch.equal(ours.bp(dy, w, x), reference.bp(dy, w, x))
    assert torch.equal(ours.wu(dy, x, w), reference.wu(dy, x, w))


def in_order(terms: list[tuple[float, float]]) -> float:
    acc = np.float32(0.0)
    for a, b in terms:
        acc += np.float32(a) * np.float32(b)
    return float(acc)


def test_convolution_sums_in_the_documented_order() -> None:
    """stride 1, padding 1: FF by (kh, kw, ci), BP by (kh, kw, co), WU by (n, h, w)."""
    torch.manual_seed(1)
    gemms = SatConvGemms((1, 1), (1, 1), (1, 1))
    x, w, dy = torch.randn(2, 4, 5, 4), torch.randn(4, 4, 3, 3), torch.randn(2, 4, 5, 4)
    x, w, dy = (t.half().float() for t in (x, w, dy))
    got_y, got_dx, got_dw = gemms.ff(x, w, None), gemms.bp(dy, w, x), gemms.wu(dy, x, w)
    taps = list(itertools.product(range(3), range(3)))

    def at(t: Tensor, n: int, c: int, h: int, v: int) -> float:
        return float(t[n, c, h, v]) if 0 <= h < 5 and 0 <= v < 4 else 0.0

    for n, c, h, v in ((0, 0, 0, 0), (1, 3, 2, 1), (0, 2, 4, 3)):
        ff = [
            (at(x, n, ci, h + i - 1, v + j - 1), float(w[c, ci, i, j]))
            for (i, j), ci in itertools.product(taps, range(4))
        ]
        bp = [
            (at(dy, n, co, h + 1 - i, v + 1 - j), float(w[co, c, i, j]))
            for (i, j), co in itertools.product(taps, range(4))
        ]
        assert got_y[n, c, h, v].item() == in_order(ff)
        assert got_dx[n, c, h, v].item() == in_order(bp)
    for co, ci, i, j in ((0, 0, 0, 0), (3, 1, 2, 1)):
        wu = [
            (at(x, n, ci, h + i - 1, v + j - 1), float(dy[n, co, h, v]))
            for n, h, v in itertools.product(range(2), range(5), range(4))
        ]
        assert got_dw[co, ci, i, j].item() == in_order(wu)


def test_prepared_model_trains_in_sat_numerics_everywhere() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(64, 10)
    )
    x = torch.randn(2, 3, 6, 6)
    plain = model(x)
    handle = prepare(model, NMConfig("dense", numerics="sat"))
    sat = model(x)
    assert not torch.equal(plain, sat)
    torch.testing.assert_close(sat, plain, atol=5e-3, rtol=5e-3)
    sat.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    handle.finalize()
    assert torch.equal(model(x), plain)


def test_products_of_activations_sum_in_order_in_all_three_gemms() -> None:
    torch.manual_seed(5)
    a, b = torch.randn(2, 3, 4, 5).requires_grad_(), torch.randn(2, 3, 5, 6).requires_grad_()
    y = sat_product(a, b)
    dy = torch.randn_like(y)
    da, db = torch.autograd.grad(y, [a, b], dy)
    ha, hb, hd = ([[m.half().float() for m in n] for n in t.detach()] for t in (a, b, dy))
    x, w, d = ha[1][2], hb[1][2], hd[1][2]
    assert y[1, 2, 3, 4].item() == in_order([(float(x[3, k]), float(w[k, 4])) for k in range(5)])
    assert da[1, 2, 3, 4].item() == in_order([(float(d[3, q]), float(w[4, q])) for q in range(6)])
    assert db[1, 2, 3, 4].item() == in_order([(float(x[p, 3]), float(d[p, 4])) for p in range(4)])


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_multiplies_its_activations_in_sat_numerics(need_weights: bool) -> None:
    """Twice the golden products between the golden projections, nothing of torch's."""
    torch.manual_seed(6)
    attention: Any = nn.MultiheadAttention(16, 2, batch_first=True)
    x = torch.randn(1, 5, 16)
    prepare(attention, NMConfig("dense", numerics="sat"))
    q, k, v = (
        sat_linear(x, w, b).unflatten(-1, (2, 8)).transpose(1, 2)
        for w, b in zip(
            attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
        )
    )
    weights = torch.softmax(sat_product(q, k.transpose(-2, -1)) * 8**-0.5, -1)
    mixed = sat_product(weights, v).transpose(1, 2).flatten(2)
    expected = sat_linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
    y, seen = attention(x, x, x, need_weights=need_weights)
    assert torch.equal(y, expected)
    assert (seen is None) != need_weights


def test_our_transformer_multiplies_its_activations_in_sat_numerics() -> None:
    torch.manual_seed(7)
    attention: Any = Attention(16, 2, causal=True)
    x = torch.randn(2, 5, 16)
    handle = prepare(attention, NMConfig("dense", numerics="sat"))
    assert type(attention.scores) is type(attention.mix) is SatProduct
    attention(x).sum().backward()
    handle.finalize()
    assert type(attention.scores) is type(attention.mix) is Product


def test_operands_are_rounded_to_fp16() -> None:
    """2^11 + 1 is no fp16 number; overflow gives infinity, which shows in the result."""
    gemms = SatLinearGemms()
    w = torch.ones(1, 1)
    assert gemms.ff(torch.tensor([[2049.0]]), w, None).item() == 2048.0
    assert gemms.ff(torch.tensor([[1e6]]), w, None).item() == float("inf")


def test_functions_take_a_mask_per_gemm() -> None:
    torch.manual_seed(3)
    x, w = integers(2, 4, 5, 5).requires_grad_(), integers(8, 4, 3, 3).requires_grad_()
    forward, backward = torch.rand_like(w) < 0.5, torch.rand_like(w) < 0.5
    y = sat_conv2d(x, w, None, (1, 1), (1, 1), forward_mask=forward, backward_mask=backward)
    dy = torch.randint_like(y, -3, 4)
    dx, dw = torch.autograd.grad(y, [x, w], dy)
    reference = ConvGemms((1, 1), (1, 1), (1, 1))
    assert torch.equal(y, reference.ff(x, w * forward, None))
    assert torch.equal(dx, reference.bp(dy, w * backward, x))
    assert torch.equal(dw, reference.wu(dy, x, w))
    a, b = integers(3, 8), integers(16, 8)
    assert torch.equal(sat_linear(a, b, forward_mask=b > 0), a @ (b * (b > 0)).t())


def test_packed_weights_compute_the_layers_gemms() -> None:
    """FF and BP of a prepared layer, from the packed weights alone."""
    torch.manual_seed(4)
    conv = nn.Conv2d(8, 16, 3, padding=1, bias=False)
    handle = prepare(nn.Sequential(conv), NMConfig("bdwp", exclude=(), numerics="sat"))
    packed = handle.export_packed()["0.weight"]
    assert packed["FF"].values.shape == (16, 9, 2)
    assert packed["BP"].values.shape == (8, 18, 2)
    x, dy = torch.randn(2, 8, 5, 5).half().float().requires_grad_(), torch.randn(2, 16, 5, 5).half()
    y = conv(x)
    (dx,) = torch.autograd.grad(y, x, dy.float())
    columns = handle.sites[0].gemms.columns(x, conv.weight).half()
    out = gemm_packed(columns, packed["FF"].values, packed["FF"].indices, 8)
    assert torch.equal(out.reshape(2, 5, 5, 16).movedim(-1, 1), y)
    # one input position whose taps all lie inside: dy at (h + 1 - kh, w + 1 - kw)
    taps = [dy[:, :, 2 + 1 - i, 2 + 1 - j] for i in range(3) for j in range(3)]
    out = gemm_packed(torch.cat(taps, 1), packed["BP"].values, packed["BP"].indices, 8)
    assert torch.equal(out, dx[:, :, 2, 2])
