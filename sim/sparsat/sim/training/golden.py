"""Training by the golden model alone: no layout, no program, no machine.

The same graph and the same vector operations, but every product by `sparsat.algo.golden` on the
operands as the graph names them, and every update in numpy.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node

from sparsat.algo.golden import gemm
from sparsat.algo.patterns import NMPattern
from sparsat.algo.sat import SatConvGemms
from sparsat.dataflow.gemms import conv_geometry, is_conv, product_of
from sparsat.dataflow.ir import Op, Update, Vector
from sparsat.dataflow.kinds import args_of
from sparsat.hw.formats import FP32
from sparsat.sim.training.graph import SCALE, StepGraph
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.interpret import Interpreter
from sparsat.sim.training.places import rounded
from sparsat.sim.training.uses import plane, source_of
from sparsat.sim.training.vector import vector_results


class Golden:
    """Trains `graph` from the weights of `model`; `patterns` names the parameters to prune.

    Members
    -------
    parameters, momentum, buffers : float32, by name.
    tensors, gradients : what the last step computed, FP16 as float32.
    """

    def __init__(
        self, graph: StepGraph, patterns: Mapping[str, NMPattern], model: nn.Module
    ) -> None:
        self.graph, self.patterns = graph, patterns
        trained = dict(model.named_parameters())
        self.parameters = {name: trained[name].detach().clone() for name in graph.gradients}
        self.momentum = {name: torch.zeros_like(w) for name, w in self.parameters.items()}
        self.buffers = {name: value.clone() for name, value in model.named_buffers()}
        self.tensors: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._sources: dict[str, Tensor] = {}

    def step(self, batch: Sequence[Tensor], hyper: Hyper) -> tuple[float, bool]:
        """One step on `batch`, inputs and targets: the loss, and whether gradients overflowed."""
        self.tensors = {}
        self._sources = {f"input{i}": value for i, value in enumerate(batch)}
        self._sources |= {SCALE: torch.tensor(hyper.scale), **self.buffers, **self.parameters}
        for op in self.graph.step.ops:
            if isinstance(op.work, Vector):
                self.tensors |= vector_results(self.graph, op, self._known)
            elif not isinstance(op.work, Update):
                (name,) = op.writes
                self.tensors[name] = rounded(self.graph.step.tensor[name], self._gemm(op))
        value = Interpreter(self._known)
        self.gradients = {name: value(node) for name, node in self.graph.gradients.items()}
        self.buffers |= {name: value(node) for name, node in self.graph.buffers.items()}
        overflow = not all(bool(g.isfinite().all()) for g in self.gradients.values())
        if not overflow:
            for name in self.parameters:
                self._update(name, hyper)
        return float(value(self.graph.loss)), overflow

    def _known(self, node: Node) -> Tensor | None:
        if (source := self.graph.sources.get(node)) is not None:
            return self._sources[source]
        return self.tensors.get(self.graph.names.get(node, ""))

    def _gemm(self, op: Op) -> Tensor:
        node = self.graph.nodes[op.writes[0]]
        source = source_of(node)
        return self._conv(source, op.stage) if is_conv(source) else self._product(node)

    def _conv(self, node: Node, stage: str) -> Tensor:
        """FF of (x, w), or BP or WU of (dy, x, w)."""
        value, work = Interpreter(self._known), conv_geometry(node)
        gemms = SatConvGemms(work.stride, work.padding, work.dilation)
        *first, x, w = (plane(value(each)) for each in args_of(node)[: 2 if stage == "FF" else 3])
        pattern = self._pattern(args_of(node)[len(first) + 1])
        if stage == "WU":
            return gemms.wu(first[0], x, w).reshape(_shape(node, 1))
        if pattern:
            w = pattern.prune(w.half(), 1 if stage == "FF" else 0).float()
        if stage == "FF":
            return gemms.ff(x, w, None).reshape(_shape(node, None))
        return gemms.bp(first[0], w, x).reshape(_shape(node, 0))

    def _product(self, node: Node) -> Tensor:
        """A · B, weights pruned along the axis that is reduced."""
        value, product = Interpreter(self._known), product_of(node)
        a, b = value(product.a).half(), value(product.b).half()
        if pattern := self._pattern(product.a):
            return gemm(b.T.contiguous(), a.T.contiguous(), mask=pattern.mask(a, 1).T).T
        if pattern := self._pattern(product.b):
            return gemm(a.contiguous(), b.contiguous(), mask=pattern.mask(b, 0))
        pairs = zip(a, b, strict=True) if a.ndim == 3 else [(a, b)]
        parts = [gemm(x.contiguous(), y.contiguous()) for x, y in pairs]
        return torch.stack(parts).reshape(_shape(node, None))

    def _pattern(self, operand: Node) -> NMPattern | None:
        """To which an operand is pruned."""
        root = self.graph.lowered.values.root[operand]
        return self.patterns.get(self.graph.sources.get(root, ""))

    def _update(self, name: str, hyper: Hyper) -> None:
        """The optimizer's step."""
        w, v = self.parameters[name].numpy(), self.momentum[name].numpy()
        g = _times(self.gradients[name].numpy(), 1 / hyper.scale)
        if pattern := self.patterns.get(name):
            kept = pattern.mask(self.parameters[name].half(), 1).numpy()
            g = np.where(kept, g, _plus(g, _times(w, hyper.masked_decay)))
        g = _plus(g, _times(w, hyper.decay))
        v = _plus(_times(v, hyper.momentum), g)
        w = _plus(w, -_times(v, hyper.rate))
        self.parameters[name], self.momentum[name] = torch.from_numpy(w), torch.from_numpy(v)


def _shape(node: Node, member: int | None) -> torch.Size:
    """Of what `node` gives, or of one member of it."""
    value = node.meta["val"]
    return (value if member is None else value[member]).shape


def _times(x: np.ndarray, factor: float) -> np.ndarray:
    return _normal(x.astype(np.float64) * float(np.float32(factor)))


def _plus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _normal(x.astype(np.float64) + y)


def _normal(exact: np.ndarray) -> np.ndarray:
    """Rounded to float32 as if its exponents had no end; what then is below its normal range is +0.

    Float32 itself rounds up to the smallest normal number from half a step further below.
    """
    edge = FP32.smallest_normal * (1 - 2.0**-25)
    return np.where(np.abs(exact) < edge, 0.0, exact).astype(np.float32)
