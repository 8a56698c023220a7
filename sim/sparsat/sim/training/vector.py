"""What a VECTOR does: its nodes of the graph, in float32, its results as precise as in memory."""

from collections.abc import Callable

from torch import Tensor
from torch.fx import Node

from sparsat.dataflow.ir import Op
from sparsat.sim.training.graph import StepGraph
from sparsat.sim.training.interpret import Interpreter
from sparsat.sim.training.places import rounded


def vector_results(
    graph: StepGraph, op: Op, known: Callable[[Node], Tensor | None]
) -> dict[str, Tensor]:
    """The tensors that `op` writes; `known` has the values of what was there before."""
    own = {graph.nodes[name] for name in op.writes}
    value = Interpreter(lambda node: None if node in own else known(node))
    return {name: rounded(graph.step.tensor[name], value(graph.nodes[name])) for name in op.writes}
