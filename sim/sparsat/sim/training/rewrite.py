"""Changes to a traced step so that the array's part of it is products and nothing else."""

from typing import Any

import torch
from torch.fx import Graph, Node

from sparsat.dataflow.gemms import result
from sparsat.dataflow.kinds import args_of, aten

_ATEN = torch.ops.aten


def separate_biases(graph: Graph) -> None:
    """Biases as additions of their own, and their gradients as sums: the array adds none.

    Raises `ValueError` for a product that adds something else.
    """
    for node in list(graph.nodes):
        match aten(node):
            case "addmm" if not node.kwargs:
                bias, a, b = args_of(node)
                _split(node, _ATEN.mm.default, (a, b), bias)
            case "convolution" if (bias := args_of(node)[2]) is not None:
                args = args_of(node)
                axes = [1] * (len(args[1].meta["val"].shape) - 2)
                with graph.inserting_before(node):
                    shape = (bias, [-1, *axes])
                    column = _like(bias, graph, _ATEN.view.default, shape)
                plain = (*args[:2], None, *args[3:])
                _split(node, _ATEN.convolution.default, plain, column)
            case "convolution_backward" if gradient := result(node, 2):
                _sum(node, gradient)
            case "addmm" | "baddbmm":
                raise ValueError(f"{node.name} adds what is not a bias to a product")


def copy_operand(node: Node) -> Node:
    """A copy of `node`, which all that read it read instead; it may lie otherwise in memory."""
    graph = node.graph
    with graph.inserting_after(node):
        axes = [1] * len(node.meta["val"].shape)
        copy = _like(node, graph, _ATEN.repeat.default, (node, axes))
    node.replace_all_uses_with(copy, lambda user: user is not copy)
    return copy


def _split(node: Node, product: Any, operands: tuple[Any, ...], bias: Node) -> None:
    """`node` as `product` of `operands` and the addition of `bias`."""
    graph = node.graph
    with graph.inserting_before(node):
        sums = graph.call_function(product, operands)
        sums.meta = dict(node.meta)
        whole = _like(node, graph, _ATEN.add.Tensor, (sums, bias))
    node.replace_all_uses_with(whole)
    graph.erase_node(node)


def _sum(node: Node, gradient: Node) -> None:
    """The gradient of a convolution's bias as a sum over all but channels."""
    dy = args_of(node)[0]
    axes = [axis for axis in range(len(dy.meta["val"].shape)) if axis != 1]
    with node.graph.inserting_before(node):
        total = _like(gradient, node.graph, _ATEN.sum.dim_IntList, (dy, axes))
    gradient.replace_all_uses_with(total)


def _like(node: Node, graph: Graph, target: Any, args: tuple[Any, ...]) -> Node:
    """A new node at the place and in the layer of `node`, of whatever shape it has."""
    new = graph.call_function(target, args)
    values = [each.meta["val"] if isinstance(each, Node) else each for each in args]
    new.meta = {**node.meta, "val": target(*values)}
    return new
