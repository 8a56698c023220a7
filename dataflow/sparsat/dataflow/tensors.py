"""Names, roles and sizes of the tensors a captured step moves."""

import math
import operator

import torch
from torch._functorch._aot_autograd.descriptors import BufferAOTInput, PlainAOTInput
from torch.fx import Node

from sparsat.dataflow.ir import Role, Tensor
from sparsat.dataflow.kinds import args_of, aten
from sparsat.dataflow.values import Values, first_tensor, is_backward, unprefixed

BYTES: dict[Role, int] = {
    "activation": 2,
    "gradient": 2,
    "weight": 4,
    "weight gradient": 4,
    "statistics": 4,
    "index": 4,
    "mask": 1,
    "constant": 2,
}
"""Bytes of an element in memory."""


class Tensors:
    """The tensors of a step by the node that makes them; a node is known by its root."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._made: dict[Node, Tensor] = {}
        self._names: set[str] = set()
        self._gradient_of = {
            root: name for name, roots in values.gradients.items() for root in roots
        }

    def __getitem__(self, node: Node) -> Tensor:
        """The tensor that `node` shows; inputs and constants come into being when asked for."""
        root = self._values.root[node]
        return self._made[root] if root in self._made else self.make(root, _source_name(root))

    def all(self) -> tuple[Tensor, ...]:
        return tuple(self._made.values())

    def nodes(self) -> dict[str, Node]:
        """The node that makes each tensor, by its name; none makes a `sum_gradient`."""
        return {tensor.name: node for node, tensor in self._made.items() if isinstance(node, Node)}

    def make(self, root: Node, name: str, role: Role | None = None) -> Tensor:
        """Register what `root` produces, as `name` unless it is a parameter or its gradient.

        The node tells its role where none is given.
        """
        name = self._values.parameter.get(root, name)
        parameter = self._gradient_of.get(root)
        if parameter is not None and len(self._values.gradients[parameter]) == 1:
            name = gradient_name(parameter)
        return self._add(root, name, role or self._role(root))

    def sum_gradient(self, parameter: str, like: Tensor) -> Tensor:
        """The total of several gradients of one parameter."""
        total = Tensor(gradient_name(parameter), like.shape, like.bytes, "weight gradient")
        self._names.add(total.name)
        self._made[_Sum(parameter)] = total  # type: ignore[index]
        return total

    def read_bytes(self, node: Node) -> int:
        """Bytes to read what `node` shows of its tensor: a slice is less than the whole."""
        tensor = self[node]
        value = first_tensor(node.meta["val"])
        assert value is not None
        return min(value.numel() * BYTES[tensor.role], tensor.bytes)

    def _add(self, root: Node, name: str, role: Role) -> Tensor:
        while name in self._names:
            name += "'"
        value = first_tensor(root.meta["val"])
        assert value is not None
        shape = tuple(value.shape)
        tensor = Tensor(name, shape, math.prod(shape) * BYTES[role], role)
        self._names.add(name)
        self._made[root] = tensor
        return tensor

    def _role(self, root: Node) -> Role:
        values = self._values
        value = first_tensor(root.meta["val"])
        assert value is not None
        part = args_of(root)[1] if root.target is operator.getitem else 0
        if value.dtype == torch.bool:
            return "mask"
        if not (value.is_floating_point() or value.is_complex()):
            return "mask" if part else "index"
        if root in self._gradient_of:
            return "weight gradient"
        if root in values.constant:
            return "constant"
        if root in values.weight:
            return "weight"
        if root in values.buffer or (part and not is_backward(root)):
            return "statistics"
        if is_backward(root):
            of_weights = part and "norm" in aten(args_of(root)[0])
            return "weight gradient" if of_weights or self._adds_up(root) else "gradient"
        return "activation"

    def _adds_up(self, root: Node) -> bool:
        """Whether it is a sum of gradients of one weight."""
        parts = [self._made.get(self._values.root[each]) for each in root.all_input_nodes]
        return aten(root) == "add" and all(
            part is not None and part.role == "weight gradient" for part in parts
        )


class _Sum(str):
    """Key of a tensor that no node makes."""


def gradient_name(parameter: str) -> str:
    return f"{parameter}.grad"


def _source_name(root: Node) -> str:
    """A name for a tensor that exists before the step."""
    desc = root.meta.get("desc")
    if isinstance(desc, PlainAOTInput):
        return f"input{desc.idx}"
    return unprefixed(desc.target) if isinstance(desc, BufferAOTInput) else root.name
