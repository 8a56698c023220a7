"""Checks that sparse operands are what the method promises."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .methods.base import IN, OUT, Method
from .patterns import NMPattern
from .sites import Site


@dataclass(frozen=True)
class Violation:
    """A weight that breaks its promise, and how."""

    name: str
    what: str


@torch.no_grad()
def check_pregenerated(site: Site, method: Method) -> Violation | None:
    """Are the pre-generated operands those of the weight as it is now?"""
    for key, fresh in method.weights(site).items():
        if not torch.equal(site.held(key), fresh):
            return Violation(site.name, f"{key} operand is stale: step() was not called")
    return None


@torch.no_grad()
def check_groups(site: Site, method: Method) -> Violation | None:
    """Does every group of the operands that the method prunes keep at most n_keep?"""
    stages = method.stages(site.pattern)
    if stages["FF"] < 1.0:
        most = largest_group(method.final(site), site.pattern, IN)
        if most > site.pattern.n_keep:
            return Violation(site.name, f"FF operand keeps {most} of a group, not {site.pattern}")
    bp = site.get("bp")
    if bp is not None and stages["BP"] < 1.0 and method.bp_is_grouped:
        most = largest_group(bp, site.pattern, OUT)
        if most > site.pattern.n_keep:
            return Violation(site.name, f"BP operand keeps {most} of a group, not {site.pattern}")
    return None


def largest_group(w: Tensor, pattern: NMPattern, dim: int) -> int:
    """Most non-zero entries in one group of `w` along `dim`."""
    groups = (w != 0).movedim(dim, -1).unflatten(-1, (-1, pattern.m))
    return int(groups.sum(-1).max())
