"""The growing list of operations: unique names, tensors read and written, costs of vector work."""

import math
from collections import Counter
from collections.abc import Sequence

from torch.fx import Node

from sparsat.dataflow.ir import Conv, MatMul, Op, Stage, Tensor, Update, Vector, Work
from sparsat.dataflow.kinds import FUSABLE, GATHERS, Kind
from sparsat.dataflow.placements import Placements
from sparsat.dataflow.tensors import Tensors
from sparsat.dataflow.values import Values, layer_of, numel

CONCAT = Kind("concat", 0)


class Emitter:
    """Appends to `ops`; the nodes given as reads and writes become tensor names here."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.tensors = Tensors(values)
        self.placements = Placements(values)
        self.ops: list[Op] = []
        self._producer: dict[str, Op] = {}
        self._names: Counter[str] = Counter()

    def unique(self, base: str) -> str:
        """`base`, or `base#2` and so on when it was given out before."""
        self._names[base] += 1
        return base if self._names[base] == 1 else f"{base}#{self._names[base]}"

    def gemm(
        self,
        name: str,
        layer: str,
        stage: Stage,
        reads: Sequence[Node],
        writes: Node,
        work: Conv | MatMul,
    ) -> None:
        """Append one GEMM under a name made by `unique`."""
        for node in reads:
            self.read(node)
        self.tensors.make(writes, name, "weight gradient" if stage == "WU" else None)
        self._append(name, layer, stage, reads, [writes], work)

    def vector(
        self, layer: str, kind: Kind, reads: Sequence[Node], writes: Sequence[Node], flops: int = 0
    ) -> None:
        """Append a vector operation costed from its operands; `flops` replaces the estimate.

        Reading a slice costs the slice, and gathering costs what is gathered, not the table.
        """
        for node in reads:
            self.read(node)
        read = [self.tensors.read_bytes(node) for node in reads]
        name = self.unique(f"{layer}/{kind.name}" if layer else kind.name)
        fusable = self._fusable_with(kind, reads)
        written = sum(self._make(node, name, i).bytes for i, node in enumerate(writes))
        if kind.name in GATHERS and read:
            read[0] = min(read[0], 2 * written)
        again = read.count(max(read, default=0)) * max(read, default=0) * (kind.passes - 1)
        elements = max(numel(node) for node in (*reads, *writes))
        flops = flops or elements * kind.flops
        work = Vector(kind.name, elements, sum(read) + again, written, flops, fusable, kind.mapped)
        self._append(name, layer, "VECTOR", reads, writes, work)

    def read(self, node: Node) -> Tensor:
        """The tensor that `node` shows, assembled first if it is a sum of placed gradients."""
        root = self.values.root[node]
        parts = self.placements.take(root)
        if parts:
            self.vector(layer_of(root), CONCAT, parts, [root])
        return self.tensors[node]

    def update(
        self, parameter: str, weight: Tensor, gradients: Sequence[Node], prunable: bool
    ) -> None:
        """Append the optimizer's step, after the sum of the gradients if there are several."""
        layer = module_of(parameter)
        reads = tuple(self.read(node).name for node in gradients)
        if len(reads) > 1:
            total = self.tensors.sum_gradient(parameter, self.tensors[gradients[0]])
            read = sum(self.tensors[node].bytes for node in gradients)
            elements = math.prod(weight.shape)
            work = Vector("add", elements, read, total.bytes, elements * (len(reads) - 1))
            self.ops.append(Op(f"{parameter}/add", layer, "VECTOR", reads, (total.name,), work))
            reads = (total.name,)
        step = Update(math.prod(weight.shape), prunable)
        reads = (weight.name, *reads)
        self.ops.append(Op(f"{parameter}/UPDATE", layer, "UPDATE", reads, (weight.name,), step))

    def _make(self, node: Node, name: str, index: int) -> Tensor:
        return self.tensors.make(node, f"{name}.{index}" if index else name)

    def _append(
        self,
        name: str,
        layer: str,
        stage: Stage,
        reads: Sequence[Node],
        writes: Sequence[Node],
        work: Work,
    ) -> None:
        sources = tuple(self.tensors[node].name for node in reads)
        if isinstance(work, Vector):
            sources = tuple(dict.fromkeys(sources))
        results = tuple(self.tensors[node].name for node in writes)
        op = Op(name, layer, stage, sources, results, work)
        self.ops.append(op)
        self._producer.update(dict.fromkeys(results, op))

    def _fusable_with(self, kind: Kind, reads: Sequence[Node]) -> str | None:
        if kind.name not in FUSABLE or self.values.uses[self.values.root[reads[0]]] != 1:
            return None
        producer = self._producer.get(self.tensors[reads[0]].name)
        return producer.name if producer and producer.macs else None


def module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]
