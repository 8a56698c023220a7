"""How the array's operations need their operands to lie, told by moving indices instead of values.

An operand is a view of a tensor, laid out for the plan that reads it. Both are tried on a tensor
that holds 1, 2, 3 … in place of its values: what comes out is the order of the values in memory,
with 0 where there is padding.
"""

import operator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from sparsat.dataflow.gemms import is_conv, product_of
from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.kinds import args_of
from sparsat.dataflow.nests import Pair, Reduce, Spread
from sparsat.dataflow.schedule import Planned
from sparsat.hw.config import SATConfig
from sparsat.sim.training.graph import StepGraph
from sparsat.sim.training.interpret import Interpreter
from sparsat.sim.values import operands
from sparsat.sim.values.check import expected_of
from sparsat.sim.values.memory import to_masters


@dataclass(frozen=True)
class Use:
    """An operation reads or writes the tensor that `node` shows, from `address` on, in `order`."""

    node: Node
    address: int
    order: np.ndarray


@dataclass(frozen=True)
class GemmUses:
    """What a product reads (no weights among it) and the result it writes."""

    reads: tuple[Use, ...]
    result: Use


def shown(graph: StepGraph, node: Node) -> Tensor:
    """Indices, from 1, of the elements of its tensor that `node` shows."""
    root = graph.lowered.values.root[node]
    shape = root.meta["val"].shape
    indices = torch.arange(1, shape.numel() + 1, dtype=torch.float64).reshape(shape)
    return Interpreter(lambda each: indices if each is root else None)(node)


def order_of(rows: Tensor) -> np.ndarray:
    return rows.reshape(-1).numpy().astype(np.int64)


def gemm_uses(config: SATConfig, graph: StepGraph, planned: Planned) -> GemmUses:
    """Of a planned product. Raises `ValueError` for layers that the host knows no weights of."""
    if isinstance(planned.op.work, MatMul):
        return _product(graph, planned, graph.nodes[planned.op.writes[0]])
    work = planned.op.work
    assert isinstance(work, Conv)
    if work.groups > 1 or work.transposed:
        raise ValueError(f"{planned.op.name}: grouped and transposed layers are not trained here")
    return _layer_uses(config, graph, planned, work)


def _product(graph: StepGraph, planned: Planned, node: Node) -> GemmUses:
    """Of two activations."""
    op, at, nest = planned.op, planned.at, planned.plan.nest  # type: ignore[union-attr]
    assert isinstance(op.work, MatMul)
    assert isinstance(nest, Pair)
    product = product_of(node)
    sides = [product.a, product.b]
    a, b, c = (_batched(shown(graph, each)) for each in (*sides, node))
    names = tuple(graph.tensor_of(each) for each in sides)
    if op.work != product.matmul or op.reads[:2] != names:  # Cᵀ = Bᵀ · Aᵀ
        sides, (a, b, c) = sides[::-1], (b.mT, a.mT, c.mT)
    rows = operands.product_operands(nest, a, b)
    reads = zip(sides, (at.a, at.b), rows, strict=True)
    return GemmUses(
        tuple(Use(side, address, order_of(each)) for side, address, each in reads),
        Use(node, at.out, order_of(operands.product_result(nest, c))),
    )


def _batched(x: Tensor) -> Tensor:
    return x if x.ndim == 3 else x[None]


def _layer_uses(config: SATConfig, graph: StepGraph, planned: Planned, work: Conv) -> GemmUses:
    """Of a product with weights."""
    nest, at, stage = planned.plan.nest, planned.at, planned.op.stage  # type: ignore[union-attr]
    reads, result = _layer_views(graph, planned)
    node = graph.nodes[planned.op.writes[0]]
    if isinstance(nest, Reduce):
        (x_node, x), (dy_node, dy) = reads
        x_rows = operands.image(nest.data, work, x, patches=True)
        dy_rows = operands.image(nest.gradient, work, dy)
        (whole,) = operands.whole_weights(config, work, nest.weights, result)
        masters = to_masters(config, whole, transposed=nest.turned)
        sources = (Use(x_node, at.a, order_of(x_rows)), Use(dy_node, at.b, order_of(dy_rows)))
        return GemmUses(sources, Use(node, at.out, order_of(masters)))
    assert isinstance(nest, Spread)
    ((source, x),) = reads
    rows = operands.image(nest.a, work, x, patches=stage == "FF")
    out = operands.image(nest.out, work, expected_of(nest, work, stage, result))
    return GemmUses((Use(source, at.a, order_of(rows)),), Use(node, at.out, order_of(out)))


Views = tuple[list[tuple[Node, Tensor]], Tensor]
"""Activations that a product reads, x before dy, with their indices as images; and the result's."""


def _layer_views(graph: StepGraph, planned: Planned) -> Views:
    node = graph.nodes[planned.op.writes[0]]
    if is_conv(source := source_of(node)):
        args = args_of(source)
        wanted = {"FF": (args[0],), "BP": (args[0],), "WU": (args[1], args[0])}
        reads = [(each, plane(shown(graph, each))) for each in wanted[planned.op.stage]]
        return reads, plane(shown(graph, node))
    product = product_of(node)
    a, b, c = (shown(graph, each) for each in (product.a, product.b, node))
    if planned.op.stage == "WU":
        dy_first = graph.tensor_of(product.a) != planned.site.a
        x, dy = (
            ((product.b, b), (product.a, a.T)) if dy_first else ((product.a, a.T), (product.b, b))
        )
        found, result = [x, dy], c if dy_first else c.T
    elif weight_side(graph, planned, node) is product.b:
        found, result = [(product.a, a)], c
    else:
        found, result = [(product.b, b.T)], c.T
    return [(each, rows[..., None, None]) for each, rows in found], result[..., None, None]


def source_of(node: Node) -> Node:
    """The operation whose result, or a member of whose results, `node` is."""
    return args_of(node)[0] if node.target is operator.getitem else node


def weight_side(graph: StepGraph, planned: Planned, node: Node) -> Node:
    """The operand of a linear layer's FF or BP that shows its weights."""
    product = product_of(node)
    weight = graph.step.layer[planned.op.layer].weight
    return product.a if graph.tensor_of(product.a) == weight else product.b


def weight_indices(config: SATConfig, graph: StepGraph, forward: Planned) -> Tensor:
    """Indices of the weights of a planned FF in whole blocks, [taps, inputs, outputs]."""
    node, nest, work = graph.nodes[forward.op.writes[0]], forward.plan.nest, forward.op.work  # type: ignore[union-attr]
    assert isinstance(nest, Spread)
    assert isinstance(work, Conv)
    assert nest.weights is not None
    if is_conv(node):
        weight = plane(shown(graph, args_of(node)[1]))
    else:
        side = weight_side(graph, forward, node)
        shows = shown(graph, side)
        weight = (shows.T if side is product_of(node).b else shows)[..., None, None]
    (whole,) = operands.whole_weights(config, work, nest.weights, weight)
    return whole


def plane(x: Tensor) -> Tensor:
    """[a, b, h, w]; one-dimensional images have a height of 1."""
    return x if x.ndim == 4 else x[:, :, None]
