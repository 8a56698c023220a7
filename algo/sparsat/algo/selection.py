"""Which weights of a model a method can prune, and why it cannot prune the others."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from .config import NMConfig
from .layers import SPARSE_CLASS
from .patterns import NMPattern

_AXIS_NAMES: dict[type[nn.Module], tuple[str, str]] = {
    nn.Linear: ("out_features", "in_features"),
    nn.Conv2d: ("out_channels", "in_channels"),
    nn.MultiheadAttention: ("output features", "input features"),
}
_IN_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_NO_GEMM = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)  # their weights look up, scale
_REPARAMETRISED = "its weight is computed from others (weight_norm, prune or parametrize)"


@dataclass(frozen=True)
class SparseLayer:
    """A weight that is pruned; `stages` is the share of dense MACs left in FF, BP and WU."""

    name: str
    shape: tuple[int, ...]
    pattern: NMPattern
    stages: Mapping[str, float]


@dataclass(frozen=True)
class Skipped:
    """A weight left dense, and why."""

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Report:
    """What `prepare` did with every weight that a layer multiplies by."""

    method: str
    sparse: tuple[SparseLayer, ...]
    skipped: tuple[Skipped, ...]

    def __str__(self) -> str:
        rows = [(s.name, _size(s.shape), f"{s.pattern} {_shares(s.stages)}") for s in self.sparse]
        rows += [(s.name, _size(s.shape), f"dense: {s.reason}") for s in self.skipped]
        widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}" for a, b, c in rows]
        return "\n".join([f"{self.method}: {len(self.sparse)} sparse weights", *lines])


@dataclass(frozen=True)
class Candidate:
    """A weight `attr` of `module`; `layer` is the name that regexes match."""

    layer: str
    module: nn.Module
    attr: str
    owner: nn.Module  # whose forward it is used in, and whose class decides

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.attr}" if self.layer else self.attr

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(getattr(self.module, self.attr).shape)


def candidates(model: nn.Module) -> Iterator[Candidate]:
    """Every weight of a layer that multiplies by it, in the order of definition."""
    inside_attention: set[nn.Module] = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            inside_attention.add(module.out_proj)
            for attr in _IN_PROJECTIONS:
                if getattr(module, attr) is not None:
                    yield Candidate(name, module, attr, module)
            inner = f"{name}.out_proj" if name else "out_proj"
            yield Candidate(inner, module.out_proj, "weight", module)
        elif isinstance(module, nn.Linear | nn.Conv2d) and module not in inside_attention:
            yield Candidate(name, module, "weight", module)
        elif not isinstance(module, _NO_GEMM):
            for attr, weight in module.named_parameters(recurse=False):
                if "weight" in attr and weight.ndim > 1 and module not in inside_attention:
                    yield Candidate(name, module, attr, module)


def unusable(candidate: Candidate) -> str | None:
    """Why a layer's GEMMs cannot be taken over at all."""
    owner = candidate.owner
    if not isinstance(owner, tuple(SPARSE_CLASS)):
        return f"{type(owner).__name__} is not supported (Linear, Conv2d, MultiheadAttention are)"
    if _is_reparametrised(candidate):
        return _REPARAMETRISED
    if type(owner) not in SPARSE_CLASS:
        return f"{type(owner).__name__} may compute something else than its base class"
    if isinstance(owner, nn.Conv2d) and owner.groups > 1:
        return f"grouped convolution (groups {owner.groups})"
    attention = isinstance(owner, nn.MultiheadAttention)
    if attention and (owner.bias_k is not None or owner.add_zero_attn):
        return "attention with bias_k, bias_v or add_zero_attn"
    return None


def _is_reparametrised(candidate: Candidate) -> bool:
    """Is the weight, or another of the same attention, no parameter of its own?"""
    owner = candidate.owner
    if not isinstance(owner, nn.MultiheadAttention):
        return candidate.attr not in candidate.module._parameters
    whole = all(attr in owner._parameters for attr in _IN_PROJECTIONS)
    return not (whole and "weight" in owner.out_proj._parameters)


def decide(model: nn.Module, config: NMConfig) -> list[tuple[Candidate, NMPattern | str]]:
    """Per weight its pattern, or the reason to leave it dense.

    Raises `ValueError` for a regex that matches no layer, and for a layer that would be pruned but
    computes its weight from other parameters.
    """
    found = list(candidates(model))
    overrides = config.layer_patterns()
    _check_regexes([*(config.exclude or ()), *overrides], found)
    default_out = _first_and_last(found) if config.exclude is None else {}
    axes = config.build_method().axes
    decisions: list[tuple[Candidate, NMPattern | str]] = []
    for candidate in found:
        override = _first_match(overrides, candidate.layer)
        pattern = config.pattern if override is None else override
        wanted = None if override is not None else default_out.get(candidate.name)
        if config.method == "dense":
            wanted = "the method is dense"
        elif any(re.fullmatch(r, candidate.layer) for r in config.exclude or ()):
            wanted = "excluded"
        elif pattern.is_dense:
            wanted = "dense by configuration"
        cannot = unusable(candidate)
        if cannot == _REPARAMETRISED and wanted is None:
            raise ValueError(
                f"layer {candidate.layer!r}: {cannot}; remove that first or exclude it"
            )
        reason = cannot or wanted or _indivisible(candidate, pattern, axes)
        decisions.append((candidate, reason or pattern))
    return decisions


def _check_regexes(regexes: list[str], found: list[Candidate]) -> None:
    for regex in regexes:
        if not any(re.fullmatch(regex, c.layer) for c in found):
            known = ", ".join(dict.fromkeys(c.layer for c in found)) or "none"
            raise ValueError(f"regex {regex!r} matches no layer; the layers are: {known}")


def _first_match(overrides: Mapping[str, NMPattern], layer: str) -> NMPattern | None:
    return next((p for regex, p in overrides.items() if re.fullmatch(regex, layer)), None)


def _first_and_last(found: list[Candidate]) -> dict[str, str]:
    """The first convolution and the last linear layer, which are left dense by default."""
    convs = [c for c in found if isinstance(c.owner, nn.Conv2d)]
    linears = [c for c in found if isinstance(c.owner, nn.Linear)]
    first = {convs[0].name: "first convolution"} if convs else {}
    last = {linears[-1].name: "last linear layer"} if linears else {}
    return {**first, **last}


def _indivisible(candidate: Candidate, pattern: NMPattern, axes: tuple[int, ...]) -> str | None:
    """The first length that groups do not divide.

    Groups never straddle the three parts of an attention's in_proj_weight: m is a power of two, so
    it divides 3·embed_dim only where it divides embed_dim.
    """
    for axis in sorted(axes, reverse=True):
        length = candidate.shape[axis]
        if length % pattern.m:
            what = _AXIS_NAMES[type(candidate.owner)][axis]
            return f"{what} {length} is not a multiple of {pattern.m}"
    return None


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _shares(stages: Mapping[str, float]) -> str:
    return " ".join(f"{stage} {share:.0%}" for stage, share in stages.items())
