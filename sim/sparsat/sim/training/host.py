"""The host of the machine: it fills memory, does every VECTOR, and keeps what is not in memory."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node

from sparsat.sim.training.compiled import Compiled, Parameter
from sparsat.sim.training.graph import SCALE
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.interpret import Interpreter
from sparsat.sim.training.machine import Machine
from sparsat.sim.training.places import Place, code_of
from sparsat.sim.training.vector import vector_results
from sparsat.sim.values.memory import operand_copy

Watch = Callable[[str, Tensor], None]
"""Is told every tensor that the host reads or writes."""


class Host:
    """Trains a compiled step on a machine, from the weights that `model` has.

    Members
    -------
    memory : uint8 [bytes], the machine's.
    parity : which of the two sets of parameters is the present one. A step writes the other one,
        and that becomes the present one unless a gradient overflowed.
    buffers : running statistics and the like, which stay with the host.
    """

    def __init__(self, compiled: Compiled, model: nn.Module, machine: Machine) -> None:
        self.compiled, self.graph, self.machine = compiled, compiled.graph, machine
        self.memory = np.zeros(compiled.scheduled[0].memory_bytes, np.uint8)
        self.parity = 0
        self.buffers = {name: value.clone() for name, value in model.named_buffers()}
        tensors, nodes = self.graph.step.tensor, self.graph.nodes
        self._codes = {name: code_of(tensors[name], nodes[name]) for name in compiled.places}
        self._sources: dict[str, Tensor] = {}
        self._outcome: dict[str, Tensor] = {}
        self._watch: Watch = lambda name, value: None
        weights = dict(model.named_parameters())
        for parameter in compiled.parameters.values():
            self._load(parameter, weights[parameter.name].detach())

    def step(self, batch: Sequence[Tensor], hyper: Hyper, watch: Watch) -> tuple[float, bool]:
        """One step on `batch`, inputs and targets: the loss, and whether gradients overflowed."""
        self._watch = watch
        self._sources = {f"input{i}": value for i, value in enumerate(batch)}
        self._sources |= {SCALE: torch.tensor(hyper.scale), **self.buffers}
        self._outcome = {}
        self._put_inputs()
        program = hyper.program(self.compiled.scheduled[self.parity].program)
        overflow = self.machine.run(program, self.memory, self._vector)
        loss = self._finish()
        self.parity ^= not overflow
        return loss, overflow

    def parameters(self) -> dict[str, Tensor]:
        """The master weights."""
        return self._of_each(lambda parameter: parameter.masters[self.parity])

    def momentum(self) -> dict[str, Tensor]:
        return self._of_each(lambda parameter: parameter.momenta[self.parity])

    def gradients(self) -> dict[str, Tensor]:
        """Of the scaled loss."""
        return self._of_each(lambda parameter: parameter.gradient)

    def _of_each(self, place: Callable[[Parameter], Place]) -> dict[str, Tensor]:
        known = self.compiled.parameters.values()
        return {each.name: place(each).get(self.memory) for each in known}

    def _load(self, parameter: Parameter, value: Tensor) -> None:
        """The master, momentum of zero, and the operands that the first step reads."""
        parameter.masters[0].put(self.memory, value)
        if parameter.whole is None:
            return
        flat = torch.cat((torch.zeros(1), value.flatten()))
        whole, update = flat[parameter.whole.long()], parameter.updates[1]
        for forward, at, index_at in (
            (True, update.forward, update.forward_index),
            (False, update.backward, update.backward_index),
        ):
            config = self.compiled.config
            values, indices = operand_copy(config, whole, parameter.pattern, forward=forward)
            self._write(at, values)
            if indices is not None:
                self._write(index_at, indices)

    def _write(self, address: int, content: np.ndarray) -> None:
        self.memory[address : address + content.nbytes] = content.view(np.uint8).reshape(-1)

    def _put_inputs(self) -> None:
        """What products read and nothing in the step writes."""
        value = Interpreter(partial(self._known, self.memory))
        for name, place in self.compiled.places.items():
            if name not in self.graph.made:
                place.put(self.memory, value(self.graph.nodes[name]))

    def _vector(self, op: int, memory: np.ndarray) -> None:
        planned = self.compiled.scheduled[0].plans[op]
        found = vector_results(self.graph, planned.op, partial(self._known, memory))
        for name, value in found.items():
            self._watch(name, value)
            self.compiled.places[name].put(memory, self._codes[name].to_memory(value))
            if name in self.graph.outcome:
                self._outcome[name] = value

    def _known(self, memory: np.ndarray, node: Node) -> Tensor | None:
        """Sources, and what operations have left in memory."""
        if (source := self.graph.sources.get(node)) is not None:
            if parameter := self.compiled.parameters.get(source):
                return parameter.masters[self.parity].get(memory)
            return self._sources[source]
        name = self.graph.names.get(node)
        if name is None or name not in self.graph.made:
            return None
        value = self._codes[name].from_memory(self.compiled.places[name].get(memory))
        self._watch(name, value)
        return value

    def _finish(self) -> float:
        """The loss; buffers become what they are after the step."""
        for name in sorted(self.graph.outcome - self._outcome.keys()):
            raise RuntimeError(f"the program ended without a VECTOR for {name}")

        def known(node: Node) -> Tensor | None:
            if (source := self.graph.sources.get(node)) is not None:
                return self._sources[source]
            return self._outcome.get(self.graph.names.get(node, ""))

        value = Interpreter(known)
        self.buffers |= {name: value(node) for name, node in self.graph.buffers.items()}
        return float(value(self.graph.loss))
