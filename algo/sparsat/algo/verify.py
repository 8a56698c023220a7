"""Checks that what training and inference read is what the method promises."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .methods.base import IN, OUT
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
def check(site: Site) -> Violation | None:
    """The first promise that a site breaks."""
    return next((Violation(site.name, what) for what in _broken(site)), None)


def _broken(site: Site) -> Iterator[str]:
    """What is wrong: stale tensors, what the method owes, groups, a mismatch with inference."""
    method = site.method
    for key, fresh in method.pregenerate(site).items():
        if not torch.equal(site.held(key), fresh):
            yield f"{key} is stale: the weight changed and step() was not called"
    breach = method.breach(site)
    if breach is not None:
        yield breach
    ff, bp = method.read(site)
    if IN in method.grouped:
        yield from _too_many("FF", ff, site.pattern, IN)
    if OUT in method.grouped:
        order = method.bp_order(site)
        yield from _too_many("BP", bp if order is None else bp[order], site.pattern, OUT)
    if not torch.equal(ff, method.final(site)):
        yield "FF reads other weights than finalize() would leave"


def largest_group(w: Tensor, pattern: NMPattern, dim: int) -> int:
    """Most non-zero entries in one group of `w` along `dim`."""
    groups = (w != 0).movedim(dim, -1).unflatten(-1, (-1, pattern.m))
    return int(groups.sum(-1).max())


def _too_many(stage: str, w: Tensor, pattern: NMPattern, dim: int) -> Iterator[str]:
    """A complaint where a group of `w` along `dim` has more than `n_keep` non-zero entries."""
    most = largest_group(w, pattern, dim)
    if most > pattern.n_keep:
        yield f"{stage} operand keeps {most} of a group, not {pattern}"
