"""What a method keeps beside the weights, saved and loaded for an exact resume."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .sites import Site

Kept = dict[str, dict[str, Tensor]]
"""{weight name: {key: tensor}}"""


def save(method: str, sites: Sequence[Site]) -> dict[str, Any]:
    """The state of all `sites`, and what it belongs to."""
    return {
        "method": method,
        "patterns": {site.name: str(site.pattern) for site in sites},
        "state": {s.name: {k: t.clone() for k, t in s.state().items()} for s in sites},
        "parameters": {s.name: {k: p.detach().clone() for k, p in s.extra.items()} for s in sites},
    }


@torch.no_grad()
def load(method: str, sites: Sequence[Site], saved: Mapping[str, Any]) -> None:
    """Undo `save`. Raises `ValueError`, changing nothing, for another method, pattern or state."""
    _expect("method", saved.get("method"), method)
    here = {site.name: str(site.pattern) for site in sites}
    for name in sorted(here.keys() | saved["patterns"].keys()):
        _expect(f"pattern of {name!r}", saved["patterns"].get(name), here.get(name))
    for site in sites:
        _check_keys(site, saved["state"][site.name], saved["parameters"][site.name])
    for site in sites:
        for key, tensor in saved["state"][site.name].items():
            site.hold(key, tensor)
        for key, parameter in saved["parameters"][site.name].items():
            site.extra[key].copy_(parameter)


def _expect(what: str, saved: object, here: object) -> None:
    if saved != here:
        raise ValueError(f"the {what} is {saved} in this state; allowed: {here}")


def _check_keys(site: Site, state: Mapping[str, Tensor], extra: Mapping[str, Tensor]) -> None:
    """The keys a method keeps, at least those held now, and the same shapes."""
    saved, held = {**state, **extra}, {**site.state(), **site.extra}
    allowed = {*site.method.state_keys, *site.extra}
    if not held.keys() <= saved.keys() <= allowed:
        keys, names = (", ".join(sorted(k)) or "nothing" for k in (saved, allowed))
        raise ValueError(f"the state of {site.name!r} holds {keys}; allowed: {names}")
    for key, tensor in held.items():
        _expect(f"shape of {key!r} of {site.name!r}", tuple(saved[key].shape), tuple(tensor.shape))
