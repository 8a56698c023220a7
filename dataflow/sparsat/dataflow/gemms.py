"""Shapes of the array's work, read off traced operations, and whose gradient a product is."""

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

    Without weights (`conv` is None) they are simply the two activations. `base` begins the names
    of its operations.
    """

    base: str
    layer: str
    x: Node
    w: Node
    conv: Conv | None


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
    matmul = MatMul(batch, p, k, shape(b)[-1])
    return Product(a, b, added[0] if added else None, matmul)


def with_weights(product: Product, values: Values) -> tuple[Node, Node, Conv] | None:
    """(x, w, geometry) if one operand of the product is made of parameters alone, else None.

    A batch of products with as many weight matrices is a grouped layer.
    """
    mm = product.matmul
    for x, w, rows, co in ((product.a, product.b, mm.p, mm.q), (product.b, product.a, mm.q, mm.p)):
        if values.is_weight(w) and numel(w) <= numel(values.root[w]):
            ci, co = mm.k * mm.batch, co * mm.batch
            return x, w, Conv(rows, 1, 1, ci, 1, 1, co, groups=mm.batch)
    return None


def conv_geometry(node: Node) -> Conv:
    """Of a forward `convolution`; one-dimensional ones get a height of 1."""
    x, w, _, stride, padding, dilation, transposed, _, groups = args_of(node)[:9]
    n, ci, h, w_in = _planes(shape(x))
    _, co, oh, ow = _planes(shape(node))
    _, _, kh, kw = _planes(shape(w))
    window = (_pair(stride, 1), _pair(padding, 0), _pair(dilation, 1))
    return Conv(n, h, w_in, ci, oh, ow, co, kh, kw, *window, int(groups), bool(transposed))


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

        Failing that (gradients written by hand), the latest that shares an operand.
        """
        same = self._by_sequence.get(node.meta.get("seq_nr", -1))
        candidates = [same] if same else []
        for forward in (*candidates, *reversed(self._all)):
            if forward.x in operands or forward.w in operands:
                return forward
        return None
