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

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


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
    operands = []
    if IN in method.grouped:
        operands.append(("FF", method.final(site), IN))
    if OUT in method.grouped:
        operands.append(("BP", method.final_bp(site), OUT))
    for stage, w, axis in operands:
        most = largest_group(w, site.pattern, axis)
        if most > site.pattern.n_keep:
            what = f"{stage} operand keeps {most} of a group, not {site.pattern}"
            return Violation(site.name, what)
    return None


def largest_group(w: Tensor, pattern: NMPattern, dim: int) -> int:
    """Most non-zero entries in one group of `w` along `dim`."""
    groups = (w != 0).movedim(dim, -1).unflatten(-1, (-1, pattern.m))
    return int(groups.sum(-1).max())
