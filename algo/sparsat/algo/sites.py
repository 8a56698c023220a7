"""A site: one weight of a model that a method prunes, with its state and its three GEMMs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .gemms import Gemms, three_gemms
from .patterns import NMPattern

if TYPE_CHECKING:
    from .methods.base import Method


class Site:
    """The weight `attr` of `module`, called `name` in the model's state_dict.

    State and what is pre-generated are kept in non-persistent buffers of the module
    (`<attr>_<key>`), so they move with the model and stay out of its state_dict; `extra` holds
    parameters that a method adds.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        attr: str,
        pattern: NMPattern,
        method: Method,
        gemms: Gemms,
    ) -> None:
        self.name = name
        self.module = module
        self.attr = attr
        self.pattern = pattern
        self.method = method
        self.gemms = gemms
        self.extra: dict[str, nn.Parameter] = {}
        self.tap: Callable[[Tensor], None] | None = None

    @property
    def weight(self) -> nn.Parameter:
        return getattr(self.module, self.attr)

    def get(self, key: str) -> Tensor | None:
        return getattr(self.module, f"{self.attr}_{key}", None)

    def held(self, key: str) -> Tensor:
        """State that must be there."""
        tensor = self.get(key)
        if tensor is None:
            raise KeyError(f"{self.name} holds no {key!r}")
        return tensor

    @torch.no_grad()
    def hold(self, key: str, tensor: Tensor) -> None:
        """Keep `tensor`, in place of what was there."""
        old = self.get(key)
        if old is not None and old.shape == tensor.shape:
            old.copy_(tensor)
        else:
            kept = tensor.detach().to(self.weight.device).contiguous().clone()
            self.module.register_buffer(f"{self.attr}_{key}", kept, persistent=False)

    def drop(self, key: str) -> None:
        """Forget what `hold` kept."""
        delattr(self.module, f"{self.attr}_{key}")

    def buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Keys and tensors of all that is held."""
        prefix = f"{self.attr}_"
        for name, buffer in self.module.named_buffers(recurse=False):
            if name.startswith(prefix):
                yield name.removeprefix(prefix), buffer

    def state(self) -> dict[str, Tensor]:
        """What is held beside the pre-generated, by key."""
        return {k: held for k in self.method.state_keys if (held := self.get(k)) is not None}

    def drop_all(self) -> None:
        for key, _ in list(self.buffers()):
            self.drop(key)
        self.extra.clear()

    @torch.no_grad()
    def regenerate(self) -> None:
        """Pre-generate from the weight as it is now."""
        for key, tensor in self.method.pregenerate(self).items():
            self.hold(key, tensor)

    @torch.no_grad()
    def renew(self) -> None:
        """Take up a weight that a checkpoint replaced."""
        self.method.renew(self)
        self.regenerate()

    def bp_rule(self, dy: Tensor) -> Tensor:
        return self.method.bp_rule(self, dy)

    def wu_rule(self, dy: Tensor) -> Tensor:
        return self.method.wu_rule(self, dy)

    def __call__(self, x: Tensor, bias: Tensor | None, rows: slice | None = None) -> Tensor:
        """The layer's output; `rows` takes part of its outputs, a whole number of groups."""
        if self.tap is not None:
            self.tap(x)
        weight, wf, wb = self.method.operands(self, self.module.training)
        if rows is not None:
            weight = weight[rows]
            wf, wb, bias = (None if t is None else t[rows] for t in (wf, wb, bias))
        return three_gemms(x, weight, bias, wf, wb, self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "tap": None}
