"""Running single nodes of a traced step, each from what is already known of the graph."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from sparsat.dataflow.kinds import aten, is_random

_RESHAPES = frozenset({"view", "_unsafe_view"})
"""Traced for the strides that tensors had then; here they may have others."""


class Interpreter:
    """Values of nodes; `known` gives those that are not to be computed, None for the others."""

    def __init__(self, known: Callable[[Node], Any]) -> None:
        self._known = known
        self._found: dict[Node, Any] = {}

    def __call__(self, node: Node) -> Any:
        if node not in self._found:
            value = self._known(node)
            self._found[node] = self._run(node) if value is None else value
        return self._found[node]

    @torch.no_grad()
    def _run(self, node: Node) -> Any:
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(node.graph.owning_module)
        if node.op != "call_function":
            raise ValueError(f"the value of {node.name} is not known")
        target: Any = node.target
        args: Any = map_arg(node.args, self)
        kwargs: Any = map_arg(node.kwargs, self)
        return args[0].reshape(args[1]) if aten(node) in _RESHAPES else target(*args, **kwargs)


def check_runs(node: Node) -> None:
    """Raise `ValueError` for a node whose values would not be those of the traced model."""
    if is_random(node):
        raise ValueError(f"{node.name} draws random numbers, which the machine's host does not")
    if aten(node).startswith("as_strided"):
        raise ValueError(f"{node.name} depends on how PyTorch lays out memory")
