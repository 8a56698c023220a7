"""What to prune and how: the configuration that `prepare` takes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .methods import METHODS, Method
from .patterns import NMPattern

NUMERICS = ("torch", "sat")


@dataclass(frozen=True)
class NMConfig:
    """A method, its pattern and where they apply; wrong values raise `ValueError`.

    method: a name in `METHODS`.
    n_keep, m: the pattern, `n_keep` kept of every `m`.
    decay: λ of the SR-STE term; None for the method's default.
    exclude: regexes that match whole module names, left dense; None leaves out the first
        convolution and the last linear layer, `()` nothing.
    per_layer: regex → pattern, a string such as "2:4" or "dense"; the first match wins, also over
        `exclude=None`.
    numerics: "torch", or "sat" for the accelerator's arithmetic in every layer it can run and in
        the products of activations that `nn.MultiheadAttention` and `layers.Product` compute; other
        products of activations stay in torch's arithmetic.
    total_steps: optimizer steps of the run, for methods with a schedule.
    seed: the run's, for methods that search at random.
    options: the method's own settings, the fields of its class `METHODS[method]`.
    """

    method: str = "bdwp"
    n_keep: int = 2
    m: int = 8
    decay: float | None = None
    exclude: Sequence[str] | None = None
    per_layer: Mapping[str, str | NMPattern] = field(default_factory=dict)
    numerics: str = "torch"
    total_steps: int | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; allowed: {', '.join(METHODS)}")
        if self.numerics not in NUMERICS:
            raise ValueError(f"numerics is {self.numerics!r}; allowed: {', '.join(NUMERICS)}")
        if isinstance(self.exclude, str):
            raise ValueError(f"exclude is {self.exclude!r}; allowed: a list of regexes")
        for regex in (*(self.exclude or ()), *self.per_layer):
            _check_regex(regex)
        method = self.build_method()
        for pattern in (self.pattern, *self.layer_patterns().values()):
            method.check(pattern)

    @property
    def pattern(self) -> NMPattern:
        return NMPattern(self.n_keep, self.m)

    def layer_patterns(self) -> dict[str, NMPattern]:
        """`per_layer` with its patterns parsed; "dense" takes this config's m."""
        return {
            regex: NMPattern.parse(p, dense_m=self.m) if isinstance(p, str) else p
            for regex, p in self.per_layer.items()
        }

    def build_method(self) -> Method:
        """The method with its options."""
        kind = METHODS[self.method]
        options = dict(self.options)
        if self.decay is not None:
            options["decay"] = self.decay
        known = [f.name for f in fields(kind)]
        if options.get("decay") == 0 and "decay" not in known:
            del options["decay"]
        for shared in {"total_steps", "seed"} & set(known):
            options.setdefault(shared, getattr(self, shared))
        for name in options:
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise ValueError(f"{self.method} has no option {name!r}; allowed: {allowed}")
        return kind(**options)


def _check_regex(regex: str) -> None:
    try:
        re.compile(regex)
    except re.error as error:
        raise ValueError(f"regex {regex!r} cannot be read: {error}") from None
