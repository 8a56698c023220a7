"""What each method's operands are: gradients, masks and scales by their definitions."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsat.algo import NMConfig, NMPattern, prepare
from sparsat.algo.methods.mvue import GradientPattern, inclusion, mvue, prune_along_batch
from sparsat.algo.methods.s_ste import soft_threshold
from sparsat.algo.methods.transposable import transposable_mask

PATTERN = NMPattern(2, 8)


def prepared(method: str, layer: nn.Module | None = None, **config: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    layer = layer or nn.Linear(16, 16, bias=False)
    return layer, prepare(nn.Sequential(layer), NMConfig(method, exclude=(), **config))


def gradients(layer: Any, x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    dx, dw = torch.autograd.grad(layer(x), [x, layer.weight], dy)
    return dx, dw


def test_operands_of_the_weight_pruning_methods() -> None:
    x, dy = torch.randn(4, 16), torch.randn(4, 16)
    for method, prunes_ff, bp_axis in (
        ("ste", True, 1),
        ("sr-ste", True, 1),
        ("sdwp", False, 0),
        ("bdwp", True, 0),
    ):
        layer, _ = prepared(method)
        w = layer.weight.detach()
        dx, dw = gradients(layer, x, dy)
        torch.testing.assert_close(layer(x), x @ (PATTERN.prune(w, 1) if prunes_ff else w).t())
        torch.testing.assert_close(dx, dy @ PATTERN.prune(w, bp_axis))
        torch.testing.assert_close(dw, dy.t() @ x)


def test_bdwp_masks_overlap_as_for_independent_weights() -> None:
    """2:8 masks along both axes of i.i.d. weights share 0.676 of the kept entries."""
    w = torch.randn(512, 512, generator=torch.manual_seed(0))
    both = PATTERN.mask(w, 0) & PATTERN.mask(w, 1)
    assert abs(float(both.float().mean()) / 0.25 - 0.676) < 0.01


def test_sdgp_prunes_only_what_bp_reads() -> None:
    x, dy = torch.randn(4, 16), torch.randn(4, 16)
    layer, _ = prepared("sdgp", options={"rule": "magnitude"})
    dx, dw = gradients(layer, x, dy)
    torch.testing.assert_close(dx, PATTERN.prune(dy, 1) @ layer.weight)
    torch.testing.assert_close(dw, dy.t() @ x)


def test_sdgp_rescaled_keeps_each_planes_magnitude() -> None:
    _, handle = prepared("sdgp", nn.Conv2d(8, 16, 1))
    dy = torch.randn(3, 16, 5, 5)
    pruned = handle.sites[0].bp_rule(dy)
    assert bool(((pruned != 0) == PATTERN.mask(dy, 1)).all())
    sums = [t.abs().sum((2, 3)) for t in (pruned, dy)]
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-3, atol=1e-3)


def test_bi_mask_backward_is_inside_forward() -> None:
    layer, handle = prepared("bi-mask", nn.Linear(64, 64))
    site = handle.sites[0]
    ff, bp, order = (site.held(k) for k in ("ff", "bp", "permutation"))
    assert torch.equal(ff, PATTERN.prune(layer.weight.detach(), 1))
    assert torch.equal(bp[order], PATTERN.prune(ff[order], 0))
    alone, _ = prepared("bi-mask", nn.Linear(64, 64), options={"candidates": 1})
    assert (bp != 0).sum() >= (alone.nm["weight"].held("bp") != 0).sum()


def test_bi_mask_searches_with_the_seed_of_the_run() -> None:
    orders = [
        prepared("bi-mask", seed=seed)[1].sites[0].held("permutation").tolist()
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def best_2_of_4(w: Tensor) -> float:
    """Largest Σ|w| over all 4×4 masks with at most two per row and column."""
    rows = [r for r in itertools.product((0, 1), repeat=4) if sum(r) == 2]
    masks = torch.tensor(
        [
            m
            for m in itertools.product(rows, repeat=4)
            if all(sum(c) == 2 for c in zip(*m, strict=True))
        ]
    )
    assert len(masks) == 90
    return float((masks * w.abs()).sum((1, 2)).max())


def test_exact_transposable_mask_equals_brute_force() -> None:
    pattern = NMPattern(2, 4)
    w = torch.randn(16, 16, generator=torch.manual_seed(1))
    mask = transposable_mask(w, pattern, "exact")
    for i, j in itertools.product(range(0, 16, 4), repeat=2):
        block, kept = w[i : i + 4, j : j + 4], mask[i : i + 4, j : j + 4]
        assert abs(float(block[kept].abs().sum()) - best_2_of_4(block)) < 1e-4


@pytest.mark.parametrize("kept", [(1, 4), (2, 8), (4, 8), (3, 16)])
@pytest.mark.parametrize("search", ["greedy", "exact"])
def test_transposable_masks_hold_both_ways(kept: tuple[int, int], search: str) -> None:
    pattern = NMPattern(*kept)
    w = torch.randn(32, 48, 2, 2, generator=torch.manual_seed(2))
    mask = transposable_mask(w, pattern, search)
    for dim in (0, 1):
        counts = mask.movedim(dim, -1).unflatten(-1, (-1, pattern.m)).sum(-1)
        assert int(counts.max()) <= pattern.n_keep
    exact = transposable_mask(w, pattern, "exact")
    assert w[mask].abs().sum() <= w[exact].abs().sum() + 1e-3
    assert w[mask].abs().sum() >= w[exact].abs().sum() / 2


def test_transposable_mask_is_renewed_on_schedule() -> None:
    layer, handle = prepared("transposable", options={"refresh_every": 2})
    first = handle.export_masks()["0.weight"]
    layer.weight.data.normal_()
    handle.step()
    assert torch.equal(handle.export_masks()["0.weight"], first)
    handle.step()
    assert not torch.equal(handle.export_masks()["0.weight"], first)


@pytest.mark.parametrize("kept", [(1, 2), (1, 4), (2, 4), (2, 8), (3, 8)])
def test_mvue_is_unbiased_and_keeps_n(kept: tuple[int, int]) -> None:
    pattern, draws = GradientPattern(*kept), 40_000
    torch.manual_seed(3)
    a = torch.randn(pattern.m)
    samples = mvue(a.expand(draws, -1), pattern)
    assert bool(((samples != 0).sum(1) == pattern.n_keep).all())
    error = samples.std(0) / draws**0.5
    assert bool(((samples.mean(0) - a).abs() < 4.5 * error + 1e-6).all())


def test_inclusion_matches_the_closed_form_for_two_draws() -> None:
    a = torch.rand(50, 4, dtype=torch.double)
    t = a / a.sum(1, keepdim=True)
    odds = t / (1 - t)
    expected = t + t * (odds.sum(1, keepdim=True) - odds)
    torch.testing.assert_close(inclusion(a, 2), expected)
    torch.testing.assert_close(inclusion(a, 2).sum(1), torch.full((50,), 2.0, dtype=torch.double))


def test_mvue_of_groups_with_few_entries_is_exact() -> None:
    a = torch.tensor([[0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1e-30]])
    assert torch.equal(mvue(a, NMPattern(2, 4)), a)


def test_mvue_divides_before_it_rounds() -> None:
    """A kept half-precision entry is a/p rounded once, as the chance itself is not rounded."""
    a = torch.randn(200, 4, generator=torch.manual_seed(7)).half()
    pruned = mvue(a, NMPattern(2, 4))
    exact = a.double() / inclusion(a.double().abs(), 2)
    assert torch.equal(pruned[pruned != 0], exact.half()[pruned != 0])


def test_gradients_take_the_papers_one_of_two() -> None:
    for method in ("mvue", "s-ste"):
        _, handle = prepared(method, options={"gradient": "1:2"})
        assert handle.stages["0.weight"]["WU"] == 0.5
        dy = handle.sites[0].wu_rule(torch.randn(8, 16))
        assert bool(((dy.t().unflatten(1, (4, 2)) != 0).sum(-1) == 1).all())
    with pytest.raises(ValueError, match="m is 3; allowed: 2, 4, 8 or 16"):
        NMConfig("mvue", options={"gradient": "1:3"})
    with pytest.raises(ValueError, match="m is 2; allowed: 4, 8 or 16"):
        NMConfig("mvue", 1, 2)


def test_mvue_groups_batch_and_space_of_one_channel() -> None:
    dy = torch.randn(2, 3, 3, 3)
    pruned = prune_along_batch(dy, 1, NMPattern(2, 4))
    rows = pruned.transpose(0, 1).flatten(1)[:, :16].unflatten(1, (4, 4))
    assert bool(((rows != 0).sum(-1) == 2).all())


def test_mvue_prunes_only_what_wu_reads() -> None:
    x, dy = torch.randn(8, 16), torch.randn(8, 16)
    layer, handle = prepared("mvue")
    dx, dw = gradients(layer, x, dy)
    torch.testing.assert_close(dx, dy @ PATTERN.prune(layer.weight.detach(), 0))
    assert not torch.allclose(dw, dy.t() @ x)
    assert handle.stages["0.weight"] == {"FF": 0.25, "BP": 0.25, "WU": 0.5}


def test_s_ste_is_continuous_and_scaled_once() -> None:
    w = torch.tensor([[1.0, -3.0, 2.0, 0.5]])
    assert torch.equal(soft_threshold(w, NMPattern(2, 4), 1), torch.tensor([[0.0, -2.0, 1.0, 0.0]]))
    tied = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert torch.equal(soft_threshold(tied, NMPattern(2, 4), 1), torch.zeros(1, 4))
    layer, handle = prepared("s-ste")
    soft, w = soft_threshold(layer.weight.detach(), PATTERN, 1), layer.weight.detach()
    scale = (w * soft).sum() / (soft * soft).sum()
    torch.testing.assert_close(handle.sites[0].held("ff"), scale * soft)
    layer.weight.data.normal_()
    handle.step()
    soft = soft_threshold(layer.weight.detach(), PATTERN, 1)
    torch.testing.assert_close(handle.sites[0].held("ff"), scale * soft)


def test_asp_keeps_its_first_mask_under_momentum_and_weight_decay() -> None:
    layer, handle = prepared("asp")
    mask = handle.export_masks()["0.weight"]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(4, 16)).square().sum().backward()
        optimizer.step()
        handle.step()
    assert torch.equal(layer.weight != 0, mask)
    assert bool((layer.weight.grad[~mask] == 0).all())
