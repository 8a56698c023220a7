"""What the nodes of a traced training step stand for, once views and constants are seen through."""

import math
from collections import Counter, defaultdict
from typing import Any

from torch import Tensor
from torch._functorch._aot_autograd.descriptors import (
    BufferAOTInput,
    GradAOTOutput,
    ParamAOTInput,
    TangentAOTInput,
)
from torch.fx import Graph, Node

from sparsat.dataflow.kinds import FACTORIES, args_of, aten, is_random, is_view
from sparsat.dataflow.trace import LOSS_LAYER, MODEL

PLACEMENTS = frozenset({"slice_backward", "select_backward"})
"""They put a gradient into its place in a larger tensor of zeros."""


class Values:
    """Facts about every node of `graph`; parameters carry the names of `canonical`.

    Members: `root` the node that produced what a view shows; `constant` nodes known before the
    step; `parameter` {placeholder: name}; `buffer` placeholders of buffers; `weight` nodes made
    of parameters alone; `gradients` {parameter: the roots that sum to its gradient}; `uses` how
    often something other than a view reads a root.
    """

    def __init__(self, graph: Graph, canonical: dict[str, str]) -> None:
        self.root: dict[Node, Node] = {}
        self.constant: set[Node] = set()
        self.parameter: dict[Node, str] = {}
        self._placeholder: dict[str, Node] = {}
        self.buffer: set[Node] = set()
        self.weight: set[Node] = set()
        self.gradients: dict[str, list[Node]] = defaultdict(list)
        self.uses: Counter[Node] = Counter()
        for node in graph.nodes:
            self.root[node] = self._root_of(node)
            if node.op == "placeholder":
                self._classify_input(node, canonical)
            elif node.op == "get_attr":
                self.constant.add(node)
            elif node.op == "output":
                self._classify_outputs(node, canonical)
            else:
                self._classify_result(node)
            if not is_view(node):
                self.uses.update(self.root[source] for source in node.all_input_nodes)

    def is_weight(self, node: Node) -> bool:
        return self.root[node] in self.weight

    def _root_of(self, node: Node) -> Node:
        whole = aten(node) in PLACEMENTS and numel(node) == numel(node.all_input_nodes[0])
        return self.root[node.all_input_nodes[0]] if whole or is_view(node) else node

    def _classify_input(self, node: Node, canonical: dict[str, str]) -> None:
        desc = node.meta["desc"]
        if isinstance(desc, ParamAOTInput):
            self._classify_parameter(node, canonical[unprefixed(desc.target)])
        elif isinstance(desc, BufferAOTInput):
            self.buffer.add(node)
        elif isinstance(desc, TangentAOTInput):
            self.constant.add(node)

    def _classify_parameter(self, node: Node, name: str) -> None:
        """Tied parameters are one: their first name and the first node stand for all."""
        first = self._placeholder.setdefault(name, node)
        self.root[node] = first
        self.parameter[first] = name
        self.weight.add(node)

    def _classify_outputs(self, node: Node, canonical: dict[str, str]) -> None:
        for value, desc in zip(args_of(node)[0], node.meta["desc"], strict=True):
            source = desc.grad_of if isinstance(desc, GradAOTOutput) else None
            if isinstance(value, Node) and isinstance(source, ParamAOTInput):
                name = canonical[unprefixed(source.target)]
                self.gradients[name].append(self.root[value])

    def _classify_result(self, node: Node) -> None:
        sources = set(node.all_input_nodes)
        if aten(node) in FACTORIES or (sources <= self.constant and not is_random(node)):
            self.constant.add(node)
        elif not is_backward(node) and self._of_weights(sources):
            self.weight.add(node)

    def _of_weights(self, sources: set[Node]) -> bool:
        known = (self.weight, self.buffer, self.constant)
        return bool(sources & self.weight) and all(
            any(source in each for each in known) for source in sources
        )


def unprefixed(target: str) -> str:
    """The name a parameter or buffer has in the user's module."""
    return target.removeprefix(f"{MODEL}.")


def is_backward(node: Node) -> bool:
    return node.meta.get("partitioner_tag") == "is_backward"


def layer_of(node: Node) -> str:
    """The module that ran `node`, for sums of gradients the one that gave the first summand."""
    while "layer" not in node.meta.get("custom", {}):
        if not node.all_input_nodes:
            return LOSS_LAYER
        node = node.all_input_nodes[0]
    return node.meta["custom"]["layer"]


def shape(node: Node) -> tuple[int, ...]:
    """Shape of the node's (first) tensor."""
    value = first_tensor(node.meta.get("val"))
    return () if value is None else tuple(value.shape)


def numel(node: Node) -> int:
    return math.prod(shape(node))


def first_tensor(value: Any) -> Tensor | None:
    """`value` if it is a tensor, else the first in its sequence, else None."""
    if isinstance(value, Tensor):
        return value
    values = value if isinstance(value, list | tuple) else ()
    return next((each for each in values if isinstance(each, Tensor)), None)
