"""Shapes of the array's work, read off traced operations, and whose gradient a product is."""

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import Node

from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.kinds import args_of, aten
from sparsat.dataflow.values import Values, numel, shape

PRODUCTS = frozenset({"mm", "bmm", "addmm", "baddbmm"})
"""Matrix products; those with three operands add the first."""


@dataclass(frozen=True)
class Forward:
    """A GEMM of the forward pass: `x` and `w` are the roots of its operands.

    Without weights (`conv` is None) they are simply the two activations of `matmul`. `base` begins
    the names of its operations.
    """

    base: str
    layer: str
    x: Node
    w: Node
    conv: Conv | None
    matmul: MatMul | None = None


@dataclass(frozen=True)
class Product:
    """A matrix product `a` × `b` (+ `added`) and the geometry it has with or without weights."""

    a: Node
    b: Node
    added: Node | None
    matmul: MatMul


def result(node: Node, index: int) -> Node | None:
    """The member `index` of a tuple, if something uses it."""
    for user in node.users:
        if user.target is operator.getitem and user.args[1] == index and user.users:
            return user
    return None


def is_conv(node: Node) -> bool:
    """Convolutions and their gradients in one or two dimensions."""
    convolution = aten(node) in ("convolution", "convolution_backward")
    return convolution and len(shape(args_of(node)[0])) <= 4


def product_of(node: Node) -> Product:
    """The operands of a node in `PRODUCTS`."""
    *added, a, b = args_of(node)[:3] if "add" in aten(node) else args_of(node)[:2]
    batch = shape(a)[0] if len(shape(a)) == 3 else 1
    p, k = shape(a)[-2:]
    turned = _lies_transposed(a), _lies_transposed(b)
    matmul = MatMul(batch, p, k, shape(b)[-1], *turned)
    return Product(a, b, added[0] if added else None, matmul)


_VIEWS = frozenset(
    {"view", "_unsafe_view", "reshape", "expand", "clone", "contiguous", "unsqueeze"}
)
_SWAPS = frozenset({"transpose", "permute", "t", "mT"})


def _lies_transposed(node: Node) -> bool:
    """Whether the last axis of an operand, followed back through views, was not last in memory."""
    axis = len(shape(node)) - 1
    while aten(node) in _VIEWS | _SWAPS:
        source = args_of(node)[0]
        if aten(node) in _SWAPS:
            axis = _axes(node, len(shape(node)))[axis]
        elif aten(node) == "expand":
            axis = max(axis + len(shape(source)) - len(shape(node)), 0)
        else:
            axis = _axis_before(shape(source), shape(node), axis)
        node = source
    return math.prod(shape(node)[axis + 1 :]) > 1


def _axis_before(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> int:
    """The axis of a shape `before` that becomes, or holds, an `axis` of the shape `after`."""
    inner = math.prod(after[axis + 1 :])
    within = (i for i in range(len(before)) if math.prod(before[i + 1 :]) <= inner)
    return next(within, 0)


def _axes(node: Node, rank: int) -> list[int]:
    """Which axis of its input each axis of a permutation is."""
    axes = list(range(rank))
    if aten(node) == "permute":
        return [axis % rank for axis in args_of(node)[1]]
    first, second = args_of(node)[1:3] if aten(node) == "transpose" else (-2, -1)
    axes[first], axes[second] = axes[second], axes[first]
    return axes


def with_weights(product: Product, values: Values) -> tuple[Node, Node, Conv] | None:
    """(x, w, geometry) if one operand is made of parameters alone or is a buffer, else None.

    A batch of products with as many weight matrices is a grouped layer.
    """
    mm = product.matmul
    for x, w, rows, co in ((product.a, product.b, mm.p, mm.q), (product.b, product.a, mm.q, mm.p)):
        if values.is_weight(w) and numel(w) <= numel(values.root[w]):
            ci, co = mm.k * mm.batch, co * mm.batch
            return x, w, Conv(rows, 1, 1, ci, 1, 1, co, groups=mm.batch)
    return None


def conv_geometry(node: Node) -> Conv:
    """Of a convolution or its gradient; one-dimensional ones get a height of 1."""
    forward = aten(node) == "convolution"
    y, x, w, _, *window = (node, *args_of(node)) if forward else args_of(node)
    stride, padding, dilation, transposed, _, groups = window[:6]
    n, ci, h, w_in = _planes(shape(x))
    _, co, oh, ow = _planes(shape(y))
    _, _, kh, kw = _planes(shape(w))
    steps = (_pair(stride, 1), _pair(padding, 0), _pair(dilation, 1))
    return Conv(n, h, w_in, ci, oh, ow, co, kh, kw, *steps, int(groups), bool(transposed))


def _planes(dims: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, *plane = dims
    return (a, b, 1, plane[0]) if len(plane) == 1 else (a, b, plane[0], plane[1])


def _pair(value: Any, missing: int) -> tuple[int, int]:
    return (missing, value[0]) if len(value) == 1 else (value[0], value[1])


class Forwards:
    """The forward GEMMs seen so far, to find the one a gradient belongs to."""

    def __init__(self) -> None:
        self._all: list[Forward] = []
        self._by_sequence: dict[int, Forward] = {}

    def __iter__(self) -> Iterator[Forward]:
        return iter(self._all)

    def add(self, node: Node, forward: Forward) -> None:
        self._all.append(forward)
        self._by_sequence[node.meta.get("seq_nr", -1)] = forward

    def of_gradient(self, node: Node, operands: set[Node]) -> Forward | None:
        """The GEMM that shares its autograd sequence number with `node` and one of `operands`.

        Gradients written by hand may lack either: then the latest that shares an operand, then
        whatever has the number.
        """
        same = self._by_sequence.get(node.meta.get("seq_nr", -1))
        candidates = [same] if same else []
        for forward in (*candidates, *reversed(self._all)):
            if forward.x in operands or forward.w in operands:
                return forward
        return same
