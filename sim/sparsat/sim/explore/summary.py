"""A step as screening sees it: what of it matters for time, whatever the machine."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from sparsat.dataflow.ir import Conv, MatMul, Step, Update, Vector
from sparsat.dataflow.sites import Site, sites
from sparsat.hw.config import preset

Pattern = tuple[int, int]


@dataclass(frozen=True)
class Product:
    """Products of a step that are alike; `pattern` is that of B."""

    work: Conv | MatMul
    stage: str
    first: bool
    pattern: Pattern | None


@dataclass(frozen=True)
class Summary:
    """What of a step's operations time depends on, whatever the machine.

    `vectors` int64 [operations, 2], bytes read and written; `updates` the elements of all weights
    and plain parameters, `largest` of the largest.
    """

    step: Step
    pattern: Pattern | None
    products: Counter[Product]
    vectors: np.ndarray
    updates: int
    largest: int

    @classmethod
    def of(cls, step: Step, pattern: Pattern | None) -> "Summary":
        products: Counter[Product] = Counter()
        vectors, updates = [], [0]
        for site in sites(preset("vcu1525"), step, pattern):
            work = site.op.work
            match work:
                case Vector():
                    vectors.append((work.bytes_read, work.bytes_written))
                case Update():
                    updates.append(work.elements)
                case Conv() | MatMul():
                    products[product_of(step, site)] += 1
        moved = np.array(vectors, np.int64).reshape(-1, 2)
        return cls(step, pattern, products, moved, sum(updates), max(updates))


def product_of(step: Step, site: Site) -> Product:
    """What a product has in common with others like it."""
    work, layer = site.op.work, step.layer.get(site.op.layer)
    assert isinstance(work, Conv | MatMul)
    first = layer is not None and layer.first
    return Product(work, site.op.stage, first, site.pattern if site.op.stage != "WU" else None)
