"""What each operation of a step is to the machine: its loop nests, weights and tensors."""

from dataclasses import dataclass, replace
from functools import lru_cache

from sparsat.dataflow.geometry import nests
from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Step, Update, Vector
from sparsat.dataflow.layout import Weights
from sparsat.dataflow.nests import Nest, Pair, Reduce, Spread
from sparsat.hw.config import SATConfig

Pattern = tuple[int, int]


@dataclass(frozen=True)
class Site:
    """An operation with its nests; `a`, `b`, `out` name the tensors they read and write.

    Slices of one tensor are laid out apart where they are A and B of one product.
    `weights` is set where B is one (FF, BP), where the result is its gradient (WU), and for its
    update. `pattern` is that of the layer, None where its weights stay dense.
    """

    op: Op
    nests: tuple[Nest, ...] = ()
    a: str = ""
    b: str = ""
    out: str = ""
    weights: Weights | None = None
    products: int = 1
    pattern: Pattern | None = None

    @property
    def forward(self) -> bool:
        """B is the forward copy of a weight: FF, or BP of a transposed convolution."""
        work = self.op.work
        transposed = isinstance(work, Conv) and work.transposed
        return (self.op.stage == "FF") != transposed

    @property
    def dense_macs(self) -> int:
        """Products of the operation without pruning; those with spatial padding count."""
        work = self.op.work
        if not isinstance(work, Conv):
            return work.macs if isinstance(work, MatMul) else 0
        if self.op.stage == "WU" or (self.op.stage == "FF" and not work.transposed):
            return work.macs
        taps = sum(
            nest.images * nest.pixels * nest.y.taps * nest.x.taps
            for nest in self.nests
            if isinstance(nest, Spread)
        )
        return taps * work.ci * work.co // work.groups

    @property
    def macs(self) -> int:
        """Products that are left of them."""
        if self.pattern is None or self.op.stage == "WU":
            return self.dense_macs
        n, m = self.pattern
        return self.dense_macs * n // m

    @property
    def weighted(self) -> bool:
        """B is a weight."""
        return self.weights is not None and self.op.stage != "WU"


def sites(config: SATConfig, step: Step, pattern: Pattern | None) -> list[Site]:
    """All operations in the order in which they run: a weight is updated after its last use, as
    soon as its gradient is there.

    Updates of weights in several groups are left to the host: outside its blocks on the diagonal a
    joined weight must stay zero.
    """
    found = [_site(config, step, op, pattern) for op in step.ops]
    made = {name: index for index, op in enumerate(step.ops) for name in op.writes}
    last = {site.op.layer: index for index, site in enumerate(found) if site.weights is not None}
    after: list[list[Site]] = [[] for _ in found]
    for index, site in enumerate(found):
        layers = _layers_updated(step, site.op)
        if not layers:
            after[index].append(site)
        for layer in layers:
            gradient = made.get(site.op.reads[-1], 0)
            update = replace(site.op, layer=layer.name)
            if len(layers) > 1:
                update = replace(update, name=f"{layer.name}/UPDATE")
            user = last[layer.name]
            after[max(user, gradient)].append(_update(update, layer, found[user]))
    return [site for sites in after for site in sites]


def _layers_updated(step: Step, op: Op) -> list[Layer]:
    """Those whose weights `op` updates: several where they are slices of one parameter."""
    if not isinstance(op.work, Update):
        return []
    return [layer for layer in step.layers if layer.weight == op.reads[0]]


def _update(op: Op, layer: Layer, user: Site) -> Site:
    """The update of the weights that `user` reads or makes the gradient of."""
    conv = layer.conv
    elements = conv.kh * conv.kw * conv.ci * conv.co // conv.groups
    if user.products == 1:
        work = Update(elements, prunable=True)
        return Site(replace(op, work=work), weights=user.weights, pattern=user.pattern)
    host = Vector("grouped update", elements, elements * 14, elements * 12, elements * 6)
    return Site(replace(op, work=host))


def _site(config: SATConfig, step: Step, op: Op, pattern: Pattern | None) -> Site:
    work = op.work
    if not isinstance(work, Conv | MatMul):
        return Site(op)
    layer = step.layer.get(op.layer)
    first = layer is not None and layer.first
    found = _nests(config, work, op.stage, step.batch, first)
    kind = found[0]
    if isinstance(kind, Pair):
        a, b = op.reads[:2]
        return Site(op, found, a, b if b != a else f"{b}, as B", op.writes[0])
    assert isinstance(work, Conv)
    kept = _pattern_of(layer, pattern)
    weights = kind.weights
    if isinstance(kind, Reduce):
        x, dy = _wu_reads(step, op)
        return Site(op, found, x, dy, op.layer, weights, kind.products, kept)
    data = next((name for name in op.reads if layer is None or name != layer.weight), op.reads[0])
    return Site(op, found, data, op.layer, op.writes[0], weights, kind.products, kept)


@lru_cache(maxsize=4096)
def _nests(
    config: SATConfig, work: Conv | MatMul, stage: str, images: int, first: bool
) -> tuple[Nest, ...]:
    return tuple(nests(config, work, stage, images, first))


def _wu_reads(step: Step, op: Op) -> tuple[str, str]:
    """The layer's input and the gradient of its output, in whatever order they are read."""
    inputs = {
        other.reads[0] for other in step.ops if other.layer == op.layer and other.stage == "FF"
    }
    first, second = op.reads[0], op.reads[-1]
    return (first, second) if first in inputs and second not in inputs else (second, first)


def _pattern_of(layer: Layer | None, pattern: Pattern | None) -> Pattern | None:
    """The pattern of the weights of a layer: None where they stay dense."""
    if pattern is None or layer is None or not layer.prunable:
        return None
    conv, m = layer.conv, pattern[1]
    whole = conv.ci % m == 0 and conv.co % m == 0 and conv.groups == 1
    return pattern if whole and not layer.first and not layer.head else None
