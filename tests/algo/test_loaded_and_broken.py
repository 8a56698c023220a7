"""A checkpoint loaded over a prepared model, and what `verify` says of tampered tensors."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsat.algo import METHODS, NMConfig, NMPattern, prepare
from sparsat.algo.methods.bi_mask import BiMask
from sparsat.algo.methods.pdp import PDP

PATTERN = NMPattern(2, 8)


def layer(seed: int) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(16, 16, bias=False))


def prepared(method: str, model: Any, **options: Any) -> Any:
    return prepare(model, NMConfig(method, exclude=(), total_steps=2, options=options))


def finished(method: str, seed: int = 0, **options: Any) -> Any:
    """A handle whose run is over: masks imported or calibrated, schedules done."""
    handle = prepared(method, layer(seed), **options)
    if method == "fixed":
        mask = PATTERN.mask(torch.randn(16, 16), 1)
        handle.import_masks({"0.weight": mask}, counts="kept")
    handle.calibrate([torch.randn(64, 16)])
    for _ in range(2):
        handle.step()
    return handle


@pytest.mark.parametrize(
    ("method", "options"),
    [
        *((m, {}) for m in ("magnitude", "asp", "transposable", "s-ste", "bi-mask", "bdwp")),
        *(("pdp", {"granularity": g}) for g in ("nm", "unstructured", "channel")),
    ],
)
def test_a_loaded_checkpoint_gives_the_state_of_its_own_weights(method: str, options: Any) -> None:
    handle, fresh = finished(method, 0, **options), finished(method, 1, **options)
    assert not torch.equal(handle.model(torch.eye(16)), fresh.model(torch.eye(16)))
    handle.model.load_state_dict(layer(1).state_dict())
    assert handle.verify() == []
    pairs = zip(handle.sites[0].buffers(), fresh.sites[0].buffers(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
    assert torch.equal(handle.sites[0].weight, fresh.sites[0].weight)


def test_a_loaded_checkpoint_leaves_learned_logits() -> None:
    handle = finished("maskllm")
    logits = handle.sites[0].extra["logits"].detach().clone()
    handle.model.load_state_dict(layer(1).state_dict())
    assert torch.equal(handle.sites[0].extra["logits"], logits)


def test_imported_masks_prune_a_loaded_checkpoint() -> None:
    handle = finished("fixed")
    mask = handle.export_masks()["0.weight"]
    handle.model.load_state_dict(layer(1).state_dict())
    assert torch.equal(handle.export_masks()["0.weight"], mask)
    assert torch.equal(handle.sites[0].weight, layer(1)[0].weight * mask)
    assert handle.verify() == []


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_calibrated_masks_stay_only_with_weights_they_prune(method: str) -> None:
    handle = finished(method)
    mask, own = handle.export_masks()["0.weight"], handle.model.state_dict()
    handle.model.load_state_dict({k: 2 * v for k, v in own.items()})
    assert torch.equal(handle.export_masks()["0.weight"], mask)
    handle.model.load_state_dict(layer(1).state_dict())
    assert torch.equal(handle.sites[0].weight, layer(1)[0].weight)
    assert str(handle.verify()[0]) == "0.weight: has no mask yet: call calibrate()"
    assert handle.stages["0.weight"]["FF"] == 1.0
    with pytest.raises(ValueError, match=r"nothing packed: 0\.weight: has no mask yet"):
        handle.export_packed()
    handle.calibrate([torch.randn(64, 16)])
    assert handle.verify() == []
    assert handle.stages["0.weight"]["FF"] == 0.25


def fill(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.fill_(1)


TAMPERED = {
    **dict.fromkeys(["ste", "sr-ste", "bdwp", "bi-mask", "transposable", "mvue", "s-ste"], "ff"),
    "sdwp": "bp",
    **dict.fromkeys(["fixed", "asp", "magnitude", "wanda", "sparsegpt"], "weight"),
    "pdp": "kept",
    "maskllm": "candidates",
}


@pytest.mark.parametrize("method", METHODS)
def test_verify_sees_what_ff_and_bp_read(method: str) -> None:
    handle = finished(method)
    assert handle.verify() == []
    if method in ("dense", "sdgp"):
        return  # they promise nothing of weights
    site = handle.sites[0]
    fill(site.weight if TAMPERED[method] == "weight" else site.held(TAMPERED[method]))
    assert [v.name for v in handle.verify()] == ["0.weight"]


def test_verify_sees_a_weight_where_a_frozen_mask_prunes() -> None:
    """Still 2:8, but not what `finalize` would leave."""
    handle = finished("asp")
    site = handle.sites[0]
    mask = site.held("mask")
    site.hold("mask", mask.roll(8, 1))
    assert handle.verify()[0].what == "FF reads other weights than finalize() would leave"


@pytest.mark.parametrize("granularity", ["nm", "unstructured", "channel"])
def test_verify_sees_the_share_that_pdp_keeps(granularity: str) -> None:
    handle = prepared("pdp", layer(0), granularity=granularity)
    assert handle.verify()[0].what == "is at 0% of the ramp to its target"
    handle.step()
    handle.step()
    assert handle.verify() == []
    site = handle.sites[0]
    site.method = AllKept(granularity=granularity, total_steps=2)
    handle.refresh()
    most, allowed = {"nm": (8, 2), "unstructured": (256, 64), "channel": (16, 4)}[granularity]
    assert handle.verify()[0].what == f"FF operand keeps {most}, not {allowed}"


class AllKept(PDP):
    """PDP that forgets to prune."""

    def pregenerate(self, site: Any) -> Any:
        return {**super().pregenerate(site), "kept": torch.ones(16, 16, dtype=torch.bool)}


def test_bi_mask_bp_is_verified_and_packed_in_its_own_order() -> None:
    handle = finished("bi-mask")
    site = handle.sites[0]
    packed = handle.export_packed()["0.weight"]["BP"]
    assert packed.order is not None
    bp = PATTERN.unpack(packed.values, packed.indices, 1).t()
    assert torch.equal(bp, site.held("bp")[packed.order].half())
    site.method = DenseBackward()
    handle.refresh()
    assert handle.verify()[0].what == "BP operand keeps 8 of a group, not 2:8"


class DenseBackward(BiMask):
    """Bi-Mask that forgets to prune BP's weight."""

    def pregenerate(self, site: Any) -> Any:
        return {**super().pregenerate(site), "bp": torch.ones(16, 16)}


def test_a_finalized_handle_says_so() -> None:
    handle = finished("bdwp")
    handle.finalize()
    for use in (handle.step, handle.verify, handle.finalize, handle.export_masks):
        with pytest.raises(RuntimeError, match="the handle is finalized; prepare the model again"):
            use()


def test_fixed_is_dense_until_it_has_masks() -> None:
    handle = prepared("fixed", layer(0))
    assert handle.stages["0.weight"]["FF"] == 1.0
    assert handle.verify()[0].what == "has no mask yet: call import_masks()"
    mask = {"0.weight": PATTERN.mask(handle.sites[0].weight, 1)}
    handle.import_masks(mask, counts="kept")
    assert handle.stages["0.weight"]["FF"] == 0.25
    assert handle.verify() == []
