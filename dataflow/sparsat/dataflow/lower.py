"""From the graph of a training step to the operations of the IR."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from torch.fx import Graph, Node
from torch.utils.flop_counter import flop_registry

from sparsat.dataflow.emit import Emitter
from sparsat.dataflow.gemms import result
from sparsat.dataflow.ir import Layer, Op, Step
from sparsat.dataflow.kinds import Kind, args_of, is_view, kind_of
from sparsat.dataflow.lower_gemms import BIAS_GRAD, GemmLowering
from sparsat.dataflow.values import Values, first_tensor, is_backward, layer_of, shape


@dataclass(frozen=True)
class Lowered:
    """A step and what it stands for: the node of the graph that makes each of its tensors."""

    step: Step
    values: Values
    nodes: dict[str, Node]


def lower(graph: Graph, canonical: dict[str, str], model: str, batch: int) -> Lowered:
    """The step that `graph` computes; `canonical` maps every parameter name to its first alias."""
    values = Values(graph, canonical)
    emitter = Emitter(values)
    gemms = GemmLowering(emitter)
    forward_ops = 0
    for node in graph.nodes:
        if not _is_work(node, values) or emitter.placements.defer(node):
            continue
        if not gemms.lower(node):
            _vector(node, emitter)
        if not is_backward(node):
            forward_ops = len(emitter.ops)
    layers = _layers(gemms, emitter, emitter.ops[:forward_ops])
    prunable = {layer.weight for layer in layers if layer.prunable}
    for root, name in values.parameter.items():
        if gradients := values.gradients.pop(name, []):
            emitter.update(name, emitter.tensors[root], gradients, name in prunable)
    step = Step(model, batch, emitter.tensors.all(), layers, tuple(emitter.ops))
    return Lowered(step, values, emitter.tensors.nodes())


def _is_work(node: Node, values: Values) -> bool:
    """Not an input, a constant, a view, or an integer counter."""
    if node.op != "call_function" or node in values.constant or values.root[node] is not node:
        return False
    value = first_tensor(node.meta.get("val"))
    if node.target is operator.getitem or is_view(node) or value is None:
        return False
    return value.ndim > 0 or value.is_floating_point()


def _vector(node: Node, emitter: Emitter) -> None:
    values = emitter.values
    reads = [each for each in node.all_input_nodes if values.root[each] not in values.constant]
    kind = _refined(kind_of(node), node, values)
    flops = 0 if kind.mapped else _library_flops(node)
    emitter.vector(layer_of(node), kind, reads, _results(node), flops)


def _refined(kind: Kind, node: Node, values: Values) -> Kind:
    """Sums and additions by what they touch: biases, their gradients, gradients that meet."""
    inputs = node.all_input_nodes
    if kind.name == "add" and is_backward(node) and "layer" not in node.meta.get("custom", {}):
        return Kind("grad_add")
    last = inputs[-1]
    if kind.name == "add" and values.root[last] in values.parameter:
        return Kind("bias_add") if shape(last) == shape(node)[-1:] else kind
    gradients = (root for roots in values.gradients.values() for root in roots)
    return BIAS_GRAD if kind.name == "sum" and node in gradients else kind


def _results(node: Node) -> list[Node]:
    """The node itself or, of a tuple, the members that somebody uses."""
    if not isinstance(node.meta["val"], list | tuple):
        return [node]
    members = (result(node, index) for index in range(len(node.meta["val"])))
    return [member for member in members if member]


def _library_flops(node: Node) -> int:
    """PyTorch's own count for what we cannot map, or 0."""
    packet = getattr(node.target, "_overloadpacket", None)
    count: Callable[..., int] | None = flop_registry.get(packet)
    if count is None:
        return 0
    args = [each.meta["val"] if isinstance(each, Node) else each for each in args_of(node)]
    return int(count(*args, out_val=node.meta["val"]))


def _layers(gemms: GemmLowering, emitter: Emitter, forward: list[Op]) -> tuple[Layer, ...]:
    with_bp = {op.layer for op in emitter.ops if op.stage == "BP"}
    heads = _heads(forward)
    layers: dict[str, Layer] = {}
    for each in gemms.forwards:
        if each.conv and each.layer not in layers:
            weight = emitter.tensors[each.w].name
            prunable = each.w in emitter.values.parameter
            first, head = each.layer not in with_bp, each.layer in heads
            layers[each.layer] = Layer(each.layer, weight, each.conv, prunable, first, head)
    return tuple(layers.values())


def _heads(forward: list[Op]) -> set[str]:
    """Layers whose results reach the loss without another GEMM."""
    before_gemm: set[str] = set()
    heads = set()
    for op in reversed(forward):
        followed = not before_gemm.isdisjoint(op.writes)
        if op.macs and not followed:
            heads.add(op.layer)
        if op.macs or followed:
            before_gemm.update(op.reads)
    return heads
