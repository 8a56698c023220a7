"""`prepare` and its handle: what becomes sparse, checkpoints, masks, the way back."""

import copy
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from sparsat.algo import METHODS, NMConfig, NMPattern, prepare
from sparsat.algo.methods.base import IN


def small_net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 12, 1),
        nn.Flatten(),
        nn.Linear(12 * 36, 64),
        nn.Linear(64, 10),
    )


def batch() -> Tensor:
    return torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def train(model: nn.Module, handle, steps: int, optimizer=None) -> None:  # type: ignore[no-untyped-def]
    optimizer = optimizer or torch.optim.SGD(handle.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(batch()).logsumexp(1).mean() + handle.penalty()).backward()
        optimizer.step()
        handle.step()


def test_report_names_what_is_sparse_and_why_not() -> None:
    handle = prepare(small_net(), NMConfig("bdwp"))
    assert [s.name for s in handle.report.sparse] == ["2.weight", "6.weight"]
    assert {s.name: s.reason for s in handle.report.skipped} == {
        "0.weight": "first convolution",
        "4.weight": "out_channels 12 is not a multiple of 8",
        "7.weight": "last linear layer",
    }
    assert handle.stages["2.weight"] == {"FF": 0.25, "BP": 0.25, "WU": 1.0}
    assert "dense: out_channels 12 is not a multiple of 8" in str(handle.report)


def test_one_sided_methods_need_only_their_axis() -> None:
    names = [s.name for s in prepare(small_net(), NMConfig("sr-ste")).report.sparse]
    assert names == ["2.weight", "4.weight", "6.weight"]


def test_exclude_and_per_layer() -> None:
    config = NMConfig("ste", exclude=["6"], per_layer={"[24]": "2:4", "7": "dense"})
    report = prepare(small_net(), config).report
    assert {s.name: str(s.pattern) for s in report.sparse} == {"2.weight": "2:4", "4.weight": "2:4"}
    assert {s.name: s.reason for s in report.skipped} == {
        "0.weight": "in_channels 3 is not a multiple of 8",
        "6.weight": "excluded",
        "7.weight": "dense by configuration",
    }


def test_per_layer_overrides_the_default_exclusions() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16))
    report = prepare(model, NMConfig("bdwp", per_layer={"1": "4:8"})).report
    assert {s.name: str(s.pattern) for s in report.sparse} == {"0.weight": "2:8", "1.weight": "4:8"}


def test_layers_that_cannot_be_taken_over_are_named() -> None:
    class MyLinear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    model = nn.Sequential(nn.Conv2d(16, 16, 3, groups=2), MyLinear(16, 16), nn.Linear(16, 16))
    report = prepare(model, NMConfig("bdwp", exclude=())).report
    assert [s.reason for s in report.skipped] == [
        "grouped convolution (groups 2)",
        "MyLinear may compute something else than its base class",
    ]


def test_layers_of_other_kinds_are_named() -> None:
    class Conv1D(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(16, 16))

    model = nn.Sequential(
        nn.Conv1d(16, 16, 3),
        nn.ConvTranspose2d(16, 16, 3),
        nn.LSTM(16, 16),
        Conv1D(),
        nn.Embedding(16, 16),
        nn.LayerNorm([16, 16]),
        nn.Linear(16, 16),
    )
    report = prepare(model, NMConfig("bdwp", exclude=())).report
    assert [s.name for s in report.sparse] == ["6.weight"]
    assert {s.name: s.reason.partition(" (")[0] for s in report.skipped} == {
        "0.weight": "Conv1d is not supported",
        "1.weight": "ConvTranspose2d is not supported",
        "2.weight_ih_l0": "LSTM is not supported",
        "2.weight_hh_l0": "LSTM is not supported",
        "3.weight": "Conv1D is not supported",
    }


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize(
    "change",
    [
        lambda layer: prune.random_unstructured(layer, "weight", 0.5),
        nn.utils.weight_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_layers_that_compute_their_weight_are_refused(change: Any) -> None:
    model = nn.Sequential(nn.Linear(16, 16), change(nn.Linear(16, 16)))
    with pytest.raises(ValueError, match=r"layer '1': its weight is computed from others \(weight"):
        prepare(model, NMConfig("bdwp", exclude=()))
    report = prepare(model, NMConfig("bdwp", exclude=["1"])).report
    assert [s.name for s in report.sparse] == ["0.weight"]


def test_attention_that_computes_a_weight_is_refused_or_left_whole() -> None:
    attention: Any = nn.MultiheadAttention(16, 4, batch_first=True)
    nn.utils.parametrizations.spectral_norm(attention.out_proj)
    model: Any = nn.Sequential(nn.Linear(16, 16), attention)
    with pytest.raises(ValueError, match="layer '1': its weight is computed"):
        prepare(model, NMConfig("bdwp", exclude=()))
    x = torch.randn(2, 5, 16)
    expected = attention.eval()(x, x, x)[0]
    prepare(model, NMConfig("bdwp", exclude=["1", r"1\.out_proj"], numerics="sat"))
    assert torch.equal(attention(x, x, x)[0], expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(method="bwdp"), "method is 'bwdp'; allowed: dense, ste"),
        (dict(n_keep=9), "n_keep is 9; allowed: 1..8"),
        (dict(m=6), "m is 6; allowed: 4, 8 or 16"),
        (dict(numerics="fp8"), "numerics is 'fp8'; allowed: torch, sat"),
        (dict(exclude="head"), "exclude is 'head'; allowed: a list"),
        (dict(per_layer={"2": "2-4"}), "pattern is '2-4'"),
        (dict(method="sdwp", decay=1e-4), "sdwp has no option 'decay'"),
        (dict(options={"gamma": 1}), "bdwp has no option 'gamma'; allowed: decay"),
        (dict(method="pdp"), "total_steps is None; pdp needs"),
        (dict(method="maskllm"), "total_steps is None; maskllm needs"),
        (dict(method="maskllm", total_steps=9, n_keep=8, m=16), "12870 candidate masks"),
        (dict(method="mvue", options={"gradient": "8:16"}), "12870 sets to draw"),
        (dict(method="sdgp", options={"rule": "best"}), "rule is 'best'; allowed: rescaled"),
        (dict(method="transposable", options={"search": "x"}), "search is 'x'; allowed: greedy"),
        (dict(method="pdp", total_steps=9, options={"tau": "x"}), "tau is 'x'; allowed"),
        (
            dict(method="pdp", total_steps=9, options={"ramp_fraction": 0.9}),
            r"are \(0.15, 0.9\); al",
        ),
    ],
)
def test_bad_configurations_are_named(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NMConfig(**config)


def test_a_pattern_that_fits_no_layer() -> None:
    with pytest.raises(ValueError, match=r"2:8 fits no layer .*0.weight: in_features 12 is not"):
        prepare(nn.Sequential(nn.Linear(12, 12)), NMConfig("bdwp", exclude=()))


def test_a_regex_that_matches_nothing() -> None:
    with pytest.raises(ValueError, match="'heda' matches no layer; the layers are: 0, 2, 4, 6, 7"):
        prepare(small_net(), NMConfig("bdwp", exclude=["heda"]))


def test_preparing_twice_is_refused() -> None:
    model = small_net()
    handle = prepare(model, NMConfig("bdwp"))
    with pytest.raises(ValueError, match="prepared already"):
        prepare(model, NMConfig("ste"))
    handle.finalize()
    prepare(model, NMConfig("ste"))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_verifies_and_finalizes(name: str) -> None:
    model = small_net()
    keys = list(model.state_dict())
    handle = prepare(model, NMConfig(name, total_steps=4))
    if name == "fixed":
        masks = {s.name: s.pattern.mask(s.weight, 1) for s in handle.sites}
        handle.import_masks(masks, counts="kept")
    handle.calibrate([batch()])
    before = copy.deepcopy(model.state_dict())
    train(model, handle, 4)
    after = model.state_dict()
    assert list(after) == keys
    changed = any(not torch.equal(before[k], after[k]) for k in keys)
    assert changed == (name != "maskllm")
    assert handle.verify() == []
    model.eval()
    masks, output = handle.export_masks(), model(batch())
    assert handle.finalize() is model
    assert all(type(m).__module__.startswith("torch.nn") for m in model.children())
    assert list(model.state_dict()) == keys
    assert all(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(model(batch()), output)
    for key, mask in masks.items():
        assert bool((model.state_dict()[key][~mask] == 0).all())
        if IN in handle.method.grouped:
            assert 0.9 < mask.float().mean() * 4 <= 1.0


def test_verify_sees_a_forgotten_step_and_a_broken_pattern() -> None:
    model = small_net()
    handle = prepare(model, NMConfig("bdwp"))
    with torch.no_grad():
        model[2].weight.add_(1.0)
    assert [(v.name, v.what[:18]) for v in handle.verify()] == [("2.weight", "ff is stale: the w")]
    handle.refresh()
    assert handle.verify() == []
    asp = prepare(small_net(), NMConfig("asp"))
    with torch.no_grad():
        asp.sites[0].held("mask").fill_(True)
        asp.sites[0].weight.fill_(1.0)
    assert "FF operand keeps 8 of a group" in asp.verify()[0].what
    transposable = prepare(small_net(), NMConfig("transposable"))
    site = transposable.sites[0]
    site.hold("mask", site.pattern.mask(torch.randn_like(site.weight), 1))  # N:M one way only
    transposable.refresh()
    assert "BP operand keeps" in transposable.verify()[0].what


def test_checkpoints_load_both_ways() -> None:
    dense, sparse = small_net(), small_net()
    with torch.no_grad():
        for p in dense.parameters():
            p.add_(torch.randn_like(p))
    handle = prepare(sparse, NMConfig("bdwp"))
    sparse.load_state_dict(dense.state_dict())
    assert handle.verify() == []
    fresh = small_net()
    fresh.load_state_dict(sparse.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(fresh.parameters(), dense.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "name", ["bdwp", "transposable", "bi-mask", "s-ste", "asp", "wanda", "pdp", "maskllm"]
)
def test_resume_is_bit_identical(name: str) -> None:
    def start(noise: float):  # type: ignore[no-untyped-def]
        model = small_net()
        with torch.no_grad():
            model[2].weight.add_(noise * torch.randn_like(model[2].weight))
        options = {"transposable": {"refresh_every": 3}, "bi-mask": {"search_every": 3}}
        config = NMConfig(name, total_steps=9, options=options.get(name, {}))
        handle = prepare(model, config)
        return model, handle, torch.optim.SGD(handle.parameters(), lr=0.05, momentum=0.9)

    model, handle, optimizer = start(0.0)
    handle.calibrate([batch()])
    train(model, handle, 4, optimizer)
    file = io.BytesIO()
    parts = {"model": model, "handle": handle, "optimizer": optimizer}
    torch.save({k: v.state_dict() for k, v in parts.items()}, file)
    torch.manual_seed(5)
    train(model, handle, 4, optimizer)

    model2, handle2, optimizer2 = start(1.0)  # whose weights give another state
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    for key, part in {"model": model2, "handle": handle2, "optimizer": optimizer2}.items():
        part.load_state_dict(saved[key])
    torch.manual_seed(5)
    train(model2, handle2, 4, optimizer2)
    pairs = zip(handle.parameters(), handle2.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for a, b in zip(handle.sites, handle2.sites, strict=True):
        assert all(
            torch.equal(x, y) for (_, x), (_, y) in zip(a.buffers(), b.buffers(), strict=True)
        )


def test_state_for_another_run_is_refused_and_changes_nothing() -> None:
    handle = prepare(small_net(), NMConfig("asp"))
    before = handle.export_masks()
    for config, message in (
        (NMConfig("transposable"), "the method is transposable in this state; allowed: asp"),
        (NMConfig("asp", 1, 4), r"the pattern of '2\.weight' is 1:4 in this state; allowed: 2:8"),
        (NMConfig("asp", exclude=["6"]), r"the pattern of '0\.weight' is|'6\.weight' is None in"),
    ):
        with pytest.raises(ValueError, match=message):
            handle.load_state_dict(prepare(small_net(), config).state_dict())
    state = handle.state_dict()
    state["state"]["6.weight"] = {"scale": torch.ones(1)}
    with pytest.raises(ValueError, match=r"state of '6\.weight' holds scale; allowed: mask"):
        handle.load_state_dict(state)
    state["state"]["6.weight"] = {"mask": torch.ones(1)}
    with pytest.raises(ValueError, match=r"shape of 'mask' of '6\.weight' is \(1,\) in this"):
        handle.load_state_dict(state)
    assert all(torch.equal(before[k], m) for k, m in handle.export_masks().items())


def test_masks_of_both_conventions_import() -> None:
    def masks() -> Iterator[tuple[str, Tensor]]:
        for name in ("2.weight", "6.weight"):
            weight = small_net().get_parameter(name)
            yield name, NMPattern(2, 8).mask(torch.randn_like(weight), 1)

    kept = dict(masks())
    config = NMConfig("fixed", exclude=["0", "4", "7"])
    a, b = prepare(small_net(), config), prepare(small_net(), config)
    a.import_masks(kept, counts="kept")
    b.import_masks({name: ~mask for name, mask in kept.items()}, counts="pruned")
    for name, mask in kept.items():
        assert torch.equal(a.export_masks()[name], mask)
        assert torch.equal(b.export_masks()[name], mask)
    train(a.model, a, 3)
    assert bool((a.sites[0].weight[~kept["2.weight"]] == 0).all())
    with pytest.raises(ValueError, match="keeps 6 of a group; allowed: 2:8"):
        a.import_masks(kept, counts="pruned")
    with pytest.raises(ValueError, match="counts is 'zeros'"):
        a.import_masks(kept, counts="zeros")
    before = a.export_masks()
    other = before["2.weight"].roll(1, 0)
    with pytest.raises(ValueError, match="mask for 'x', which is not among"):
        a.import_masks({"2.weight": other, "x": other}, counts="kept")
    assert torch.equal(a.export_masks()["2.weight"], before["2.weight"])
    with pytest.raises(ValueError, match="makes its own masks"):
        prepare(small_net(), NMConfig("bdwp")).import_masks(kept, counts="kept")


def test_pattern_of_a_library_that_counts_pruned_entries() -> None:
    assert NMPattern.parse("2:8", counts="pruned") == NMPattern(6, 8)
    with pytest.raises(ValueError, match="counts is 'zero'"):
        NMPattern.parse("2:8", counts="zero")


def test_copies_and_pickles_of_a_prepared_model_work() -> None:
    model = small_net()
    prepare(model, NMConfig("bdwp"))
    expected = model(batch())
    twin = copy.deepcopy(model)
    assert twin[2].nm["weight"].module is twin[2]
    assert torch.equal(twin(batch()), expected)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(batch()), expected)


def test_a_dropped_handle_leaves_no_hook() -> None:
    from torch.optim.optimizer import _global_optimizer_pre_hooks as hooks

    before = len(hooks)
    handle = prepare(small_net(), NMConfig("bdwp"))
    assert len(hooks) == before + 1
    del handle
    assert len(hooks) == before


def test_finalize_prunes_the_weights_as_they_are_now():
    model: Any = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    handle = prepare(model, NMConfig(method="bdwp", n_keep=2, m=8))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(16, 16))
    want = NMPattern(2, 8).prune(model[1].weight.detach(), 1)
    handle.finalize()
    assert torch.equal(model[1].weight, want)


def test_pdp_ends_exactly_on_its_pattern_where_magnitudes_tie():
    model: Any = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    with torch.no_grad():
        model[1].weight.fill_(0.5)
    config = NMConfig(method="pdp", n_keep=2, m=8, total_steps=1)
    handle = prepare(model, config)
    handle.step()
    handle.finalize()
    assert (model[1].weight.view(16, 2, 8) != 0).sum(-1).eq(2).all()
