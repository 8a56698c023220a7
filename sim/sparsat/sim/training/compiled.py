"""A training step ready to run: its program, and where everything lies in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.fx import Node

from sparsat.algo.patterns import NMPattern
from sparsat.dataflow.ir import Conv, MatMul, Update
from sparsat.dataflow.kinds import args_of, is_view
from sparsat.dataflow.schedule import SCHEDULES, Planned, Scheduled, schedule_step
from sparsat.hw.config import SATConfig
from sparsat.hw.formats import FP16
from sparsat.hw.isa import instructions as isa
from sparsat.sim.training.graph import StepGraph, lower_step, trace_step
from sparsat.sim.training.places import STORED, Place
from sparsat.sim.training.rewrite import copy_operand
from sparsat.sim.training.uses import Use, gemm_uses, order_of, shown, weight_indices
from sparsat.sim.values.memory import to_masters

Pattern = tuple[int, int]
_ROUNDS = 20
"""How often operands may be found to lie wrong; each round mends all that are known."""


@dataclass(frozen=True)
class Parameter:
    """A parameter in memory, with its gradient; masters, momenta and the instructions that update
    it come in pairs: those of the set that a step with parity 0 reads, and of the other one.

    whole : indices of its elements as the array's [taps, inputs, outputs], where a product reads
        it; 0 is padding.
    pattern : what its operand copies are pruned to, None where they are dense.
    """

    name: str
    updates: tuple[isa.Update, isa.Update]
    masters: tuple[Place, Place]
    momenta: tuple[Place, Place]
    gradient: Place
    whole: Tensor | None
    pattern: NMPattern | None


@dataclass(frozen=True)
class Compiled:
    """A step as a program, `scheduled` for parity 0 and 1.

    `places` has all that operations read and write but parameters.
    """

    config: SATConfig
    graph: StepGraph
    scheduled: tuple[Scheduled, Scheduled]
    places: dict[str, Place]
    parameters: dict[str, Parameter]

    def patterns(self) -> dict[str, NMPattern]:
        """Of the parameters that are pruned."""
        return {name: each.pattern for name, each in self.parameters.items() if each.pattern}


def compile_step(
    config: SATConfig,
    model: nn.Module,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    loss: nn.Module,
    pattern: Pattern | None,
) -> Compiled:
    """The step of `model` on batches shaped as `inputs` and `targets`.

    Where an operand lies as one product needs it and another needs it otherwise, it is copied.
    Raises `ValueError` for a model that cannot be trained on the machine.
    """
    if config.fmt != FP16:
        raise ValueError(f"config {config.name} has operands of {config.fmt.name}, not fp16")
    graph = trace_step(model, inputs, targets, loss)
    for _ in range(_ROUNDS):
        found = _Layout(config, lower_step(graph, model, len(inputs[0])), pattern)
        if not found.misplaced:
            return found.compiled()
        copies: set[Node] = set()
        for use in found.misplaced:
            if copies.isdisjoint(_views(use.node)):
                copies.add(copy_operand(use.node))
    raise ValueError(f"operands of {found.misplaced[0].node.name} cannot be laid out")


class _Layout:
    """Places for a scheduled step; `misplaced` are reads of what lies otherwise than they need."""

    def __init__(self, config: SATConfig, graph: StepGraph, pattern: Pattern | None) -> None:
        self.config, self.graph = config, graph
        schedule = SCHEDULES["optimal"]
        self.both = (
            schedule_step(config, graph.step, schedule, pattern, parity=0),
            schedule_step(config, graph.step, schedule, pattern, parity=1),
        )
        self.scheduled = self.both[0]
        self.parameters = dict(self._parameters())
        reads, results = self._uses()
        self.taken = {graph.tensor_of(use.node): use for use in results}
        self.misplaced: list[Use] = []
        for use in reads:
            self._read(use)

    def compiled(self) -> Compiled:
        tensors = self.graph.step.tensor
        names = [name for name in tensors if name in self.graph.made or name in self.taken]
        places = {name: self._place(name) for name in names}
        return Compiled(self.config, self.graph, self.both, places, self.parameters)

    def _place(self, name: str) -> Place:
        tensor, use = self.graph.step.tensor[name], self.taken.get(name)
        dtype = STORED[tensor.role]
        if use is None:
            return Place(self.scheduled.places[name], dtype, tensor.shape)
        return Place(use.address, dtype, tensor.shape, use.order)

    def _read(self, use: Use) -> None:
        """Let the tensor lie as its first reader needs it, if that tells all of it."""
        name = self.graph.tensor_of(use.node)
        if name in self.taken:
            lies = self.taken[name]
            if lies.address != use.address or not np.array_equal(lies.order, use.order):
                self.misplaced.append(use)
        elif name in self.graph.made and not _tells_all(use, self.graph.step.tensor[name].shape):
            self.misplaced.append(use)
        else:
            self.taken[name] = use

    def _uses(self) -> tuple[list[Use], list[Use]]:
        """All reads of activations and gradients by the machine, and the results of products."""
        reads: list[Use] = []
        results: list[Use] = []
        for planned in self.scheduled.plans:
            if isinstance(planned.op.work, Conv | MatMul):
                found = gemm_uses(self.config, self.graph, planned)
                reads += found.reads
                results.append(found.result)
        return reads + [self._gradient(each) for each in self.parameters.values()], results

    def _gradient(self, parameter: Parameter) -> Use:
        """The gradient as the update reads it: in the order of the masters."""
        node = self.graph.gradients[parameter.name]
        indices = np.concatenate(([0], order_of(shown(self.graph, node))))
        at, order = parameter.gradient.address, parameter.gradient.order
        return Use(node, at, indices[1:] if order is None else indices[order])

    def _parameters(self) -> Iterator[tuple[str, Parameter]]:
        forwards = {each.op.layer: each for each in self.scheduled.plans if _is_forward(each)}
        instructions = [
            {each.op: each for each in scheduled.program if isinstance(each, isa.Update)}
            for scheduled in self.both
        ]
        seen: set[str] = set()
        for number, planned in enumerate(self.scheduled.plans):
            if not isinstance(planned.op.work, Update):
                continue
            name = planned.op.reads[0]
            if name in seen:
                raise ValueError(f"parameter {name} is used in parts, by products of their own")
            seen.add(name)
            whole = None
            if planned.site.weights is not None:
                whole = weight_indices(self.config, self.graph, forwards[planned.op.layer])
            updates = instructions[0][number], instructions[1][number]
            yield name, self._parameter(name, updates, planned, whole)
        self._check_known(seen)

    def _parameter(
        self,
        name: str,
        updates: tuple[isa.Update, isa.Update],
        planned: Planned,
        whole: Tensor | None,
    ) -> Parameter:
        even, odd = updates
        order = None
        if whole is not None:
            order = order_of(to_masters(self.config, whole, transposed=bool(even.transposed)))
        shape = self.graph.nodes[name].meta["val"].shape

        def place(at: int) -> Place:
            return Place(at, np.float32, shape, order)

        return Parameter(
            name,
            updates,
            masters=(place(even.master), place(odd.master)),
            momenta=(place(even.momentum), place(odd.momentum)),
            gradient=place(even.gradient),
            whole=whole,
            pattern=NMPattern(*planned.pattern) if planned.pattern else None,
        )

    def _check_known(self, updated: set[str]) -> None:
        """Weights of products are parameters, and all parameters that are read are trained."""
        for layer in self.graph.step.layers:
            if layer.weight not in updated:
                raise ValueError(f"layer {layer.name} has weights that are not trained as they are")
        for op in self.graph.step.ops:
            for name in set(op.reads) - updated - self.graph.made:
                if self.graph.step.tensor[name].role == "weight":
                    raise ValueError(f"parameter {name} is read by {op.name}, but not trained")


def _views(node: Node) -> Iterator[Node]:
    """`node` and what it is a view of, one after another."""
    yield node
    while is_view(node):
        node = args_of(node)[0]
        yield node


def _is_forward(planned: Planned) -> bool:
    return planned.op.stage == "FF" and isinstance(planned.op.work, Conv)


def _tells_all(use: Use, shape: tuple[int, ...]) -> bool:
    """Whether every element of a tensor can be found in memory."""
    found = np.unique(use.order)
    return found.size - int(found[0] == 0) == int(np.prod(shape))
