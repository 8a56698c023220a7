"""Gradients of slices, assembled once instead of padded with zeros and added."""

from dataclasses import dataclass

from torch.fx import Node

from sparsat.dataflow.kinds import args_of, aten
from sparsat.dataflow.values import PLACEMENTS, Values, shape


@dataclass(frozen=True)
class _Part:
    """`source` fills [start, stop) along `dim` of a larger tensor of zeros."""

    source: Node
    dim: int
    start: int
    stop: int

    def meets(self, other: "_Part") -> bool:
        apart = self.stop <= other.start or other.stop <= self.start
        return self.dim != other.dim or not apart


class Placements:
    """Roots whose parts are known but which nothing has read as a whole yet."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._pending: dict[Node, list[_Part]] = {}

    def defer(self, node: Node) -> bool:
        """Take `node` over if it places a gradient or adds placements that do not overlap."""
        parts = [_part(node)] if aten(node) in PLACEMENTS else self._added(node)
        if parts:
            self._pending[node] = parts
        return bool(parts)

    def take(self, root: Node) -> list[Node]:
        """The sources to assemble `root` from, once; [] if it needs no assembling."""
        return [part.source for part in self._pending.pop(root, [])]

    def _added(self, node: Node) -> list[_Part]:
        """Deferred sums keep their summands, for another sum may still read them."""
        if aten(node) != "add" or len(node.all_input_nodes) != 2:
            return []
        a, b = (self._pending.get(self._values.root[each], []) for each in node.all_input_nodes)
        overlap = any(one.meets(other) for one in a for other in b)
        return [] if not a or not b or overlap else a + b


def _part(node: Node) -> _Part:
    """What `select_backward(gradient, size, dim, index)` or `slice_backward` places."""
    source, size, dim, start, *rest = args_of(node)
    start = start + size[dim] if start < 0 else start
    if aten(node) == "select_backward":
        return _Part(source, dim, start, start + 1)
    step = rest[1]
    return _Part(source, dim, start, start + (shape(source)[dim] - 1) * step + 1)
