"""One-shot pruning from data, PDP's soft masks and MaskLLM's learned ones."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsat.algo import NMConfig, NMPattern, prepare
from sparsat.algo.methods.sparsegpt import prune_matrix


def correlated(rows: int, depth: int) -> Tensor:
    """Inputs with correlated features of very different size, as layers see them."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(depth, depth, generator=generator)
    scale = torch.logspace(-1, 1, depth)[torch.randperm(depth, generator=generator)]
    return torch.randn(rows, depth, generator=generator) @ mix * scale


def net() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))


def calibrated(method: str, model: Any, x: Tensor, kept: str = "2:4") -> Any:
    pattern = NMPattern.parse(kept)
    config = NMConfig(method, pattern.n_keep, pattern.m, exclude=())
    handle = prepare(model, config)
    handle.calibrate(x.split(64))
    return handle


@pytest.mark.parametrize("kept", ["2:4", "2:8"])
def test_reconstruction_ranks_sparsegpt_wanda_magnitude(kept: str) -> None:
    x = correlated(512, 32)
    errors = {}
    for method in ("magnitude", "wanda", "sparsegpt"):
        layer = net()[0]
        target = layer(x).detach()
        calibrated(method, nn.Sequential(layer), x, kept)
        errors[method] = float((layer(x).detach() - target).square().mean())
    assert errors["sparsegpt"] < errors["wanda"] < errors["magnitude"]


def test_wanda_follows_its_definition_on_a_convolution() -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    x, w = torch.randn(4, 8, 5, 5), conv.weight.detach().clone()
    calibrated("wanda", nn.Sequential(conv), x)
    norms = nn.functional.unfold(x, 3, padding=1).square().sum((0, 2)).sqrt().reshape(8, 3, 3)
    assert torch.equal(conv.weight.detach(), w * NMPattern(2, 4).mask(w * norms, 1))


def test_sparsegpt_without_correlation_is_magnitude_without_repair() -> None:
    w = torch.randn(8, 16, generator=torch.manual_seed(3))
    pruned, mask = prune_matrix(w, torch.eye(16).double(), NMPattern(2, 4), 0.0, 8)
    assert torch.equal(mask, NMPattern(2, 4).mask(w, 1))
    torch.testing.assert_close(pruned.float(), w * mask)


def test_sparsegpt_blocks_do_not_matter() -> None:
    x, w = correlated(256, 32).double(), torch.randn(8, 32)
    results = [prune_matrix(w, x.t() @ x, NMPattern(2, 8), 0.01, block) for block in (8, 16, 32)]
    for weight, mask in results[1:]:
        assert torch.equal(mask, results[0][1])
        torch.testing.assert_close(weight, results[0][0])


def test_sparsegpt_survives_dead_inputs() -> None:
    x = correlated(128, 32)
    x[:, 5] = 0.0
    layer = net()[0]
    calibrated("sparsegpt", nn.Sequential(layer), x)
    assert bool(layer.weight.isfinite().all())
    assert bool((layer.weight[:, 5] == 0).all())


def test_layers_are_pruned_on_what_pruned_layers_give() -> None:
    model, x = net(), correlated(128, 32)
    calibrated("wanda", model, x)
    again = net()[2]
    handle = prepare(nn.Sequential(again), NMConfig("wanda", 2, 4, exclude=()))
    handle.calibrate([model[:2](x).detach()])
    assert torch.equal(again.weight, model[2].weight)


def test_calibration_needs_batches() -> None:
    handle = prepare(net(), NMConfig("wanda", exclude=()))
    with pytest.raises(ValueError, match="batches is empty"):
        handle.calibrate([])


def pdp(layer: Any, steps: int = 10, **options: Any) -> Any:
    config = NMConfig("pdp", 2, 8, exclude=(), total_steps=steps, options=options)
    return prepare(nn.Sequential(layer), config)


def test_pdp_ramps_from_dense_to_the_pattern() -> None:
    layer = nn.Linear(16, 16)
    handle = pdp(layer, 20, dense_fraction=0.2, ramp_fraction=0.6)
    density = []
    for _ in range(20):
        density.append(float(handle.export_masks()["0.weight"].float().mean()))
        handle.step()
    assert density[:4] == [1.0] * 4
    assert density == sorted(density, reverse=True)
    assert density[-1] == 0.25
    assert torch.equal(handle.export_masks()["0.weight"], NMPattern(2, 8).mask(layer.weight, 1))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_pdp_reaches_its_target_in_a_run_of_any_length(steps: int) -> None:
    handle = pdp(nn.Linear(16, 16), steps, dense_fraction=0.3, ramp_fraction=0.7)
    for _ in range(steps):
        handle.step()
    assert handle.verify() == []


def test_pdp_gradient_is_the_closed_form() -> None:
    """d(m·w)/dw = m + 2w²·m(1-m)/τ, the threshold held constant."""
    torch.manual_seed(4)
    layer, tau = nn.Linear(16, 16, bias=False).double(), 0.01
    handle = pdp(layer, 1, tau=tau, dense_fraction=0.0, ramp_fraction=0.0)
    handle.step()
    w, t = layer.weight.detach(), handle.sites[0].held("threshold")
    groups = w.unflatten(1, (2, 8))
    m = torch.sigmoid((groups.square() - t.square()) / tau).flatten(1)
    torch.testing.assert_close(layer(torch.eye(16).double()), (m * w).t())
    layer(torch.eye(16).double()).sum().backward()
    torch.testing.assert_close(layer.weight.grad, m + 2 * w.square() * m * (1 - m) / tau)
    kept, dropped = groups.abs().sort(-1).values[..., 6], groups.abs().sort(-1).values[..., 5]
    torch.testing.assert_close(t[..., 0], (kept + dropped) / 2)


def test_pdp_unstructured_shares_the_budget_globally() -> None:
    torch.manual_seed(5)
    model: Any = nn.Sequential(nn.Linear(16, 15), nn.Linear(15, 16))
    with torch.no_grad():
        model[0].weight.mul_(4.0)
    config = NMConfig("pdp", exclude=(), total_steps=4, options={"granularity": "unstructured"})
    handle = prepare(model, config)
    for _ in range(4):
        handle.step()
    kept = [float(m.float().mean()) for m in handle.export_masks().values()]
    assert kept[0] > 2 * kept[1]
    total = sum(m.sum() for m in handle.export_masks().values())
    assert abs(int(total) - 480 // 4) <= 2


def test_pdp_channel_prunes_whole_outputs() -> None:
    layer = nn.Conv2d(3, 16, 3)
    handle = pdp(layer, 2, granularity="channel", tau="auto")
    handle.step()
    layer(torch.randn(1, 3, 4, 4)).sum().backward()
    handle.step()
    handle.finalize()
    alive = layer.weight.abs().sum((1, 2, 3)) > 0
    assert int(alive.sum()) == 4


def test_pdp_channel_has_a_gradient_where_an_output_is_zero() -> None:
    layer = nn.Linear(16, 16)
    with torch.no_grad():
        layer.weight[3] = 0.0
    handle = pdp(layer, 2, granularity="channel", dense_fraction=0.0, ramp_fraction=0.0)
    handle.step()
    layer(torch.ones(1, 16)).sum().backward()
    assert layer.weight.grad is not None
    assert bool(layer.weight.grad.isfinite().all())


def maskllm(layer: Any, steps: int = 4, **options: Any) -> Any:
    config = NMConfig("maskllm", 2, 4, exclude=(), total_steps=steps, options=options)
    return prepare(nn.Sequential(layer), config)


def agreement(handle: Any, mask: Tensor) -> float:
    """Share of equal entries; the prior only tilts the random start, so it is below 1."""
    return float((handle.export_masks()["0.weight"] == mask).float().mean())


def test_maskllm_starts_at_its_prior() -> None:
    layer = nn.Linear(16, 16)
    handle = maskllm(layer)
    assert agreement(handle, NMPattern(2, 4).mask(layer.weight, 1)) > 0.95


def test_maskllm_takes_masks_of_another_task_as_prior() -> None:
    source, target = nn.Linear(16, 16), nn.Linear(16, 16)
    masks = maskllm(source).export_masks()
    handle = maskllm(target, prior="none")
    assert agreement(handle, masks["0.weight"]) < 0.6
    handle.import_masks(masks, counts="kept")
    assert agreement(handle, masks["0.weight"]) > 0.95


@pytest.mark.parametrize("prior", ["wanda", "sparsegpt"])
def test_maskllm_prior_from_data(prior: str) -> None:
    x = correlated(256, 32)
    layer, reference = net()[0], net()[0]
    before = layer.weight.detach().clone()
    handle = maskllm(layer, prior=prior)
    handle.calibrate([x])
    other = calibrated(prior, nn.Sequential(reference), x)
    assert agreement(handle, other.export_masks()["0.weight"]) > 0.95
    assert torch.equal(layer.weight, before)


def test_maskllm_schedule_runs_from_soft_to_hard() -> None:
    handle = maskllm(nn.Linear(16, 16), steps=2)
    assert handle.sites[0].held("schedule").tolist() == [100.0, 4.0]
    handle.step()
    torch.testing.assert_close(handle.sites[0].held("schedule"), torch.tensor([300.0, 2.025]))
    handle.step()
    torch.testing.assert_close(handle.sites[0].held("schedule"), torch.tensor([500.0, 0.05]))
    assert handle.penalty().item() == 0.0


def test_maskllm_learns_a_better_mask_than_its_prior() -> None:
    """Fit a dense layer's outputs with frozen weights: the best mask of each row by brute force."""
    torch.manual_seed(6)
    x, layer = correlated(256, 8), nn.Linear(8, 8, bias=False)
    target = layer(x).detach()
    handle = maskllm(layer, steps=200, norm_penalty=0.0)
    start = {k: v.clone() for k, v in handle.export_masks().items()}["0.weight"]
    weight = layer.weight.detach().clone()
    optimizer = torch.optim.AdamW(handle.parameters(), lr=5e-3)
    for _ in range(200):
        optimizer.zero_grad()
        (layer(x) - target).square().mean().backward()
        optimizer.step()
        handle.step()
    assert torch.equal(layer.weight, weight)

    def error(mask: Tensor) -> float:
        return float((x @ (weight * mask).t() - target).square().mean())

    halves = [m for m in itertools.product((0, 1), repeat=4) if sum(m) == 2]
    rows = torch.tensor([a + b for a, b in itertools.product(halves, repeat=2)])
    errors = (x @ (weight[:, None] * rows).transpose(1, 2) - target.t()[..., None]).square().mean(1)
    best = float(errors.min(1).values.mean())
    learned = error(handle.export_masks()["0.weight"])
    assert learned - best < 0.25 * (error(start) - best)
