"""A training step as a graph of which every node can be run, and as operations of the IR."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch._functorch._aot_autograd.descriptors import (
    BufferAOTInput,
    GradAOTOutput,
    InputMutationAOTOutput,
    ParamAOTInput,
    PlainAOTInput,
    PlainAOTOutput,
    TangentAOTInput,
)
from torch.fx import Graph, Node

from sparsat.dataflow.capture import canonical_names
from sparsat.dataflow.ir import Step
from sparsat.dataflow.kinds import args_of
from sparsat.dataflow.lower import Lowered, lower
from sparsat.dataflow.trace import trace
from sparsat.dataflow.values import unprefixed
from sparsat.sim.training.interpret import check_runs
from sparsat.sim.training.rewrite import separate_biases

SCALE = "loss scale"
"""Name of the source that is the gradient of the loss itself."""

Source = Callable[[str], Tensor]
"""What exists before the step, by name: parameters, buffers, `input0` and so on, and `SCALE`."""


@dataclass(frozen=True)
class StepGraph:
    """One training step.

    sources : placeholders by name. Targets are the inputs after the model's own.
    gradients : for each parameter the node that shows its gradient, in its shape.
    buffers : for each buffer that changes the node that shows it after the step.
    loss : the node of the unscaled loss.
    """

    graph: Graph
    lowered: Lowered
    sources: dict[Node, str]
    gradients: dict[str, Node]
    buffers: dict[str, Node]
    loss: Node

    @property
    def step(self) -> Step:
        return self.lowered.step

    @property
    def nodes(self) -> dict[str, Node]:
        """The node that makes each tensor."""
        return self.lowered.nodes

    @cached_property
    def names(self) -> dict[Node, str]:
        """The tensor that each node makes."""
        return {node: name for name, node in self.nodes.items()}

    @cached_property
    def made(self) -> frozenset[str]:
        """The tensors that the step itself makes."""
        return frozenset(name for op in self.step.ops for name in op.writes if op.stage != "UPDATE")

    @cached_property
    def outcome(self) -> frozenset[str]:
        """The tensors that the loss and the new buffers are read from."""
        found: set[str] = set()
        waiting = [self.loss, *self.buffers.values()]
        while waiting:
            node = waiting.pop()
            name = self.names.get(node)
            if name in self.made:
                found.add(name)
            else:
                waiting += node.all_input_nodes
        return frozenset(found)

    def tensor_of(self, node: Node) -> str:
        """The tensor that `node` shows."""
        return self.names[self.lowered.values.root[node]]


def trace_step(
    model: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Tensor], loss: nn.Module
) -> Graph:
    """The graph of a step of `model`, where `loss` takes its output and `targets`."""
    graph = trace(model, inputs, loss, targets)
    for node in graph.nodes:
        check_runs(node)
    separate_biases(graph)
    return graph


def lower_step(graph: Graph, model: nn.Module, batch: int) -> StepGraph:
    """`graph` as operations. Raises `ValueError` for what cannot be trained on the machine."""
    canonical = canonical_names(model)
    lowered = lower(graph, canonical, type(model).__name__, batch)
    for unmapped in lowered.step.unmapped:
        raise ValueError(f"{unmapped.ops[0]} is an operation that is not known: {unmapped.kind}")
    sources = {node: _source(node, canonical) for node in graph.find_nodes(op="placeholder")}
    gradients: dict[str, Node] = {}
    buffers: dict[str, Node] = {}
    losses = []
    (output,) = graph.find_nodes(op="output")
    for node, desc in zip(args_of(output)[0], output.meta["desc"], strict=True):
        match desc:
            case GradAOTOutput(grad_of=ParamAOTInput(target=target)) if node is not None:
                name = canonical[unprefixed(target)]
                if name in gradients:
                    raise ValueError(f"parameter {name} is tied: it has several gradients")
                gradients[name] = node
            case InputMutationAOTOutput(mutated_input=BufferAOTInput(target=target)):
                buffers[unprefixed(target)] = node
            case PlainAOTOutput():
                losses.append(node)
    return StepGraph(graph, lowered, sources, gradients, buffers, losses[0])


def _source(node: Node, canonical: dict[str, str]) -> str:
    match node.meta["desc"]:
        case ParamAOTInput(target=target):
            return canonical[unprefixed(target)]
        case BufferAOTInput(target=target):
            return unprefixed(target)
        case PlainAOTInput(idx=index):
            return f"input{index}"
        case TangentAOTInput():
            return SCALE
        case other:
            raise ValueError(f"the step takes something unknown: {other.expr()}")
