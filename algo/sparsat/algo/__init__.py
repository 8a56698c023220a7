"""N:M sparse training for PyTorch, and the golden model of the accelerator's GEMM.

    from sparsat.algo import NMConfig, prepare

    handle = prepare(model, NMConfig(method="bdwp", n_keep=2, m=8, decay=2e-4))
    print(handle.report)            # what is sparse, what was skipped and why
    optimizer = SGD(handle.parameters(), lr=0.1)
    for x, y in batches:
        loss_fn(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        handle.step()               # once per optimizer step: regenerates the sparse weights
    handle.verify()                 # [] or the violations
    model = handle.finalize()       # plain modules again, zeros baked into the weights

`prepare` keeps the model object, its parameters and its state_dict keys; only the class of the
chosen modules changes, so an optimizer may be made before or after. The config is checked when it
is made, and a `ValueError` says what would be right.

Exclusions: by default the first convolution and the last linear layer stay dense; `exclude=()`
prunes them too, `exclude=[regex, ...]` names others (a regex matches a whole module name). Layers
whose lengths the groups do not divide, and layers of other kinds than `Linear`, `Conv2d` and
`MultiheadAttention`, are skipped by name. `NMConfig(options={...})` takes the fields of the
method's class, `METHODS[name]`.

Checkpoints: `model.load_state_dict` makes anew what the method derived from the weights it replaces
(masks, scales, ...). Imported masks stay and prune the new weights, learned logits stay, masks from
`calibrate` stay only with weights that they already prune; for others calibrate again.

Several processes: where `torch.distributed` is set up, all of them call `prepare` and `calibrate`,
and take the values of the first.

Handle
    `.report`             `Report`: `.sparse`, `.skipped` (lists of entries), prints as a table
    `.parameters()`       what the optimizer should train (the model's; for MaskLLM its logits)
    `.penalty()`          scalar to add to the loss (MaskLLM's norm term; 0.0 for the others)
    `.calibrate(batches)` runs `model(batch)` for each (tuples are unpacked) and prunes: Wanda,
                          SparseGPT, MaskLLM's Wanda and SparseGPT priors; no-op for the others
    `.step()`             after every optimizer step
    `.stages`             {weight name: share of the dense MACs that training does in each of "FF",
                          "BP", "WU"}; pdp and maskllm train dense and save at inference only
    `.verify()`           list of `Violation`: operands that are stale, break their pattern or are
                          not what `finalize` would leave, layers without a mask, an unfinished ramp
    `.export_masks()`     {weight name: bool mask}, True = kept
    `.export_packed()`    {weight name: {"FF" | "BP": Packed}}, values and indices for the array;
                          raises where `verify` finds something
    `.import_masks(masks, counts="kept" | "pruned")`
                          for "fixed" (which keeps to them) and "maskllm" (a prior); the caller
                          says what True (or 1) marks
    `.state_dict()`, `.load_state_dict()`
                          what the model's state_dict does not hold (step count, frozen masks,
                          logits), for an exact resume; call after the model's own load_state_dict
    `.refresh()`          regenerates the sparse weights after weights were changed by hand
    `.finalize()`         returns the model; the handle is of no use afterwards

Methods: dense, ste, sr-ste, sdgp, sdwp, bdwp, bi-mask, transposable, mvue, s-ste, asp, magnitude,
wanda, sparsegpt, pdp, maskllm; "fixed" trains under imported masks. pdp and maskllm need
`NMConfig(total_steps=...)`. One-shot methods and asp take an already trained model.
"""

from .config import NMConfig
from .handle import Handle, prepare
from .methods import METHODS
from .packed import Packed
from .patterns import NMPattern
from .selection import Report, Skipped, SparseLayer
from .verify import Violation

__all__ = [
    "METHODS",
    "Handle",
    "NMConfig",
    "NMPattern",
    "Packed",
    "Report",
    "Skipped",
    "SparseLayer",
    "Violation",
    "prepare",
]
