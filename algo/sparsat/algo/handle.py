"""`prepare`: put a method into a model, and the handle that keeps it in step with the optimizer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from . import state as states
from .calibration import calibrate
from .config import NMConfig
from .distributed import broadcast, processes
from .layers import Product, SatProduct, exchange_products, gemms_of, swap_all, unswap
from .methods import METHODS
from .methods.base import IN, OUT, Method
from .optimizers import hook_optimizers
from .packed import Packed, pack_bp, pack_ff
from .patterns import NMPattern, check_counts
from .selection import Candidate, Report, Skipped, SparseLayer, decide, unusable
from .sites import Site
from .verify import Violation, check, largest_group


def prepare(model: nn.Module, config: NMConfig) -> "Handle":
    """Make `model` train as `config` says, in place.

    Parameters and state_dict keys stay. Put the model on its device first. Where
    `torch.distributed` is set up, every process calls this with the same model and config, and all
    start from the values of the first. Raises `ValueError` where the pattern fits no layer, a regex
    matches none, a weight to prune is computed from other parameters, the model is prepared
    already, or several processes would train what the method adds.
    """
    if any(hasattr(module, "nm") for module in model.modules()):
        raise ValueError("the model is prepared already; finalize its handle first")
    decisions = decide(model, config)
    skipped = tuple(Skipped(c.name, c.shape, d) for c, d in decisions if isinstance(d, str))
    if len(skipped) == len(decisions) and config.method != "dense":
        reasons = "; ".join(f"{s.name}: {s.reason}" for s in skipped) or "it has none"
        raise ValueError(f"pattern {config.pattern} fits no layer of the model ({reasons})")
    if METHODS[config.method].adds_parameters and processes() > 1:
        raise ValueError(
            f"{config.method} trains parameters that no other process sees; use one process"
        )
    broadcast([*model.parameters(), *model.buffers()])
    return Handle(model, config, decisions, skipped)


class Handle:
    """A prepared model's sparse weights. Made by `prepare`.

    Call `step()` once after every optimizer step. The decay term and the masking of gradients
    need no call: a hook on PyTorch's optimizers applies them just before their step, after loss
    unscaling, accumulation and clipping; it refuses a step with a closure. After `finalize` the
    handle is of no use: all that needs its sparse weights raises `RuntimeError`.
    """

    def __init__(
        self,
        model: nn.Module,
        config: NMConfig,
        decisions: Sequence[tuple[Candidate, NMPattern | str]],
        skipped: tuple[Skipped, ...],
    ) -> None:
        self.model = model
        self.config = config
        self.steps = 0
        self.method = config.build_method()
        self._sites, dense = _make_sites(decisions, config, self.method)
        self._skipped, self._closed = skipped, False
        with torch.no_grad():
            for site in self.sites:
                self.method.setup(site)
        self.refresh()
        self._swapped = swap_all([*self.sites, *dense])
        self._sat = config.numerics == "sat"
        if self._sat:
            exchange_products(model, Product, SatProduct)
        self._frozen = _freeze_beside(self.model, self.method_parameters())
        self._nested = [m for m in model.modules() if getattr(m, "use_nested_tensor", False)]
        for encoder in self._nested:
            encoder.use_nested_tensor = False  # type: ignore[assignment]
        self._keep_buffers_local()
        self._unhook = hook_optimizers(self)

    @property
    def sites(self) -> list[Site]:
        """The pruned weights; raises `RuntimeError` after `finalize`."""
        if self._closed:
            raise RuntimeError("the handle is finalized; prepare the model again to go on")
        return self._sites

    @property
    def report(self) -> Report:
        """What is sparse, what is not, and why."""
        layers = (
            SparseLayer(s.name, tuple(s.weight.shape), s.pattern, self.method.stages(s))
            for s in self.sites
        )
        return Report(self.config.method, tuple(layers), self._skipped)

    @property
    def stages(self) -> dict[str, Mapping[str, float]]:
        """Share of the dense MACs that training does in FF, BP and WU, per sparse weight."""
        return {site.name: self.method.stages(site) for site in self.sites}

    def method_parameters(self) -> list[nn.Parameter]:
        """Parameters that the method adds (MaskLLM's logits)."""
        return [p for site in self.sites for p in self.method.parameters(site)]

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the optimizer should train: what the method adds, if it does, or the model's."""
        return iter(self.method_parameters() or self.model.parameters())

    def penalty(self) -> Tensor | float:
        """A scalar to add to the loss; 0.0 for most methods."""
        return sum((self.method.penalty(site, self.steps) for site in self.sites), start=0.0)

    @torch.no_grad()
    def step(self) -> None:
        """Advance the method after an optimizer step and pre-generate the sparse weights."""
        sites = self.sites
        self.steps += 1
        self.method.advance_all(sites, self.steps)
        self.refresh()

    def refresh(self) -> None:
        """Pre-generate the sparse weights, after weights were changed by hand."""
        for site in self.sites:
            site.regenerate()

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Any]) -> None:
        """Prune from data, layer after layer, each on what the pruned ones before it give.

        `batches`: inputs of the model, tuples are unpacked. Does nothing where the method needs
        no data. Of several processes the first one's result is taken.
        """
        if self.method.calibrated:
            calibrate(self.model, self.sites, self.method, batches)
            for site in self.sites:
                broadcast([site.weight, *site.state().values()])

    def verify(self) -> list[Violation]:
        """Weights whose sparse operands are stale, or break their pattern; [] if all is well."""
        found = (check(site) for site in self.sites)
        return [violation for violation in found if violation is not None]

    def export_masks(self) -> dict[str, Tensor]:
        """{weight name: bool mask}, True where inference keeps the weight."""
        return {site.name: self.method.mask(site).clone() for site in self.sites}

    @torch.no_grad()
    def export_packed(self) -> dict[str, dict[str, Packed]]:
        """{weight name: {"FF": ..., "BP": ...}} for the array, the stages with N:M weights.

        Raises `ValueError` where `verify` finds a violation, as packing would prune it away.
        """
        broken = "; ".join(str(violation) for violation in self.verify())
        if broken:
            raise ValueError(f"nothing packed: {broken}")
        packed: dict[str, dict[str, Packed]] = {}
        for site in self.sites:
            own = packed.setdefault(site.name, {})
            ff, bp = self.method.read(site)
            if IN in self.method.grouped:
                own["FF"] = pack_ff(ff, site.pattern)
            if OUT in self.method.grouped:
                own["BP"] = pack_bp(bp, site.pattern, self.method.bp_order(site))
        return packed

    @torch.no_grad()
    def import_masks(self, masks: Mapping[str, Tensor], counts: str) -> None:
        """Give masks to a method that takes them: "fixed" freezes them, MaskLLM starts there.

        `counts`: what a True or 1 marks in `masks`, "kept" or "pruned". Raises `ValueError` for an
        unknown name, a wrong shape, a mask that keeps too many of a group, or a method that makes
        its own masks.
        """
        check_counts(counts)
        sites = {site.name: site for site in self.sites}
        kept = {name: m.bool() if counts == "kept" else ~m.bool() for name, m in masks.items()}
        for name, mask in kept.items():
            if name not in sites:
                raise ValueError(f"mask for {name!r}, which is not among: {', '.join(sites)}")
            _check_mask(sites[name], mask)
        for name, mask in kept.items():
            if not self.method.set_mask(sites[name], mask.to(sites[name].weight.device)):
                raise ValueError(f"{self.config.method} makes its own masks; use method 'fixed'")
            sites[name].regenerate()

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs beside the model's own state_dict."""
        return {"steps": self.steps, **states.save(self.config.method, self.sites)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`, after the model's own; raises `ValueError` where it does not fit."""
        states.load(self.config.method, self.sites, state)
        self.steps = state["steps"]
        self.refresh()

    @torch.no_grad()
    def finalize(self) -> nn.Module:
        """Write the pruned weights into the model, make its modules plain again and return it.

        The weights are pruned as they are now, also where no `step()` followed their last update.
        """
        self.refresh()
        self._unhook()
        for site in self.sites:
            site.weight.copy_(self.method.final(site))
        for module in self._swapped:
            unswap(module)
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        for encoder in self._nested:
            encoder.use_nested_tensor = True  # type: ignore[assignment]
        if self._sat:
            exchange_products(self.model, SatProduct, Product)
        self._closed = True
        return self.model

    def _keep_buffers_local(self) -> None:
        """Keep DistributedDataParallel from broadcasting what every rank derives by itself."""
        held = {id(buffer) for site in self.sites for _, buffer in site.buffers()}
        names = [name for name, buffer in self.model.named_buffers() if id(buffer) in held]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.model, names)


def _make_sites(
    decisions: Sequence[tuple[Candidate, NMPattern | str]], config: NMConfig, method: Method
) -> tuple[list[Site], list[Site]]:
    """(pruned sites, dense sites): dense ones only where the module is taken over anyway."""
    pruned_owners = {c.owner for c, d in decisions if isinstance(d, NMPattern)}
    pruned, dense = [], []
    for c, decision in decisions:
        gemms = gemms_of(c.module, config.numerics) if unusable(c) is None else None
        if isinstance(decision, NMPattern) and gemms is not None:
            pruned.append(Site(c.name, c.module, c.attr, decision, method, gemms))
        elif gemms is not None and (config.numerics == "sat" or c.owner in pruned_owners):
            whole = NMPattern(config.m, config.m)
            dense.append(Site(c.name, c.module, c.attr, whole, Method(), gemms))
    return pruned, dense


def _freeze_beside(model: nn.Module, added: list[nn.Parameter]) -> list[nn.Parameter]:
    """Freeze the model's parameters where a method brings its own; those that were frozen now."""
    trained = [p for p in model.parameters() if p.requires_grad] if added else []
    for parameter in trained:
        parameter.requires_grad_(False)
    return trained


def _check_mask(site: Site, kept: Tensor) -> None:
    if kept.shape != site.weight.shape:
        shape = tuple(site.weight.shape)
        raise ValueError(f"mask for {site.name!r} is {tuple(kept.shape)}; allowed: {shape}")
    most = largest_group(kept, site.pattern, IN)
    if most > site.pattern.n_keep:
        raise ValueError(f"mask for {site.name!r} keeps {most} of a group; allowed: {site.pattern}")
