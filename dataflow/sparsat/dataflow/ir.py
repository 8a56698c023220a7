"""One training step as an ordered list of operations on named tensors, free of any framework.

A `Step` is what capture produces and what scheduling consumes. Its operations stand in an order
in which they may run: forward, loss, backward, updates. Views, reshapes, permutes, casts and
anything computed from constants alone have been merged away, so every `Op` stands for work.

Element sizes follow the machine, not the framework: activations and their gradients are 2 bytes,
parameters, their gradients and statistics 4, token indices 4, masks and pooling positions 1.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

Stage = Literal["FF", "BP", "WU", "VECTOR", "UPDATE"]
Role = Literal[
    "activation", "gradient", "weight", "weight gradient", "statistics", "index", "mask", "constant"
]
Pair = tuple[int, int]

FORMAT = 2
"""Version of the JSON form."""


@dataclass(frozen=True)
class Tensor:
    """A tensor that lives in memory: `shape` as the framework orders it, `bytes` as stored."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    role: Role


@dataclass(frozen=True)
class Conv:
    """A convolution of `[n, h, w, ci]` to `[n, oh, ow, co]`, whichever of its three GEMMs runs.

    A linear layer is 1×1 over n rows with h = w = 1. `groups` > 1 splits ci and co alike;
    depthwise is groups = ci. `transposed` spreads every input pixel over a kernel of outputs, as
    `ConvTranspose2d` does; it is the gradient of the convolution `mirrored()`.
    """

    n: int
    h: int
    w: int
    ci: int
    oh: int
    ow: int
    co: int
    kh: int = 1
    kw: int = 1
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    transposed: bool = False

    @property
    def macs(self) -> int:
        """Multiplications of the dense product, padding counted; the same for FF, BP and WU."""
        pixels = self.h * self.w if self.transposed else self.oh * self.ow
        return self.n * pixels * self.kh * self.kw * self.ci * self.co // self.groups

    @property
    def depthwise(self) -> bool:
        """Whether every input channel has kernels of its own."""
        return self.groups > 1 and self.groups == self.ci

    def mirrored(self) -> "Conv":
        """The convolution whose BP is this one's FF, whose FF is this one's BP, with the same WU.

        The other way round it is not transposed, so a scheduler need not know the word.
        """
        swapped = (self.n, self.oh, self.ow, self.co, self.h, self.w, self.ci, self.kh, self.kw)
        window = (self.stride, self.padding, self.dilation, self.groups)
        return Conv(*swapped, *window, transposed=not self.transposed)


@dataclass(frozen=True)
class MatMul:
    """`batch` products `[p, k] × [k, q]` of two activations, as in attention.

    `a_transposed`, `b_transposed`: the operand lies in memory as `[k, p]`, `[q, k]`.
    """

    batch: int
    p: int
    k: int
    q: int
    a_transposed: bool = False
    b_transposed: bool = False

    @property
    def macs(self) -> int:
        return self.batch * self.p * self.k * self.q

    def mirrored(self) -> "MatMul":
        """The same products the other way round: Cᵀ = Bᵀ · Aᵀ."""
        turned = not self.b_transposed, not self.a_transposed
        return MatMul(self.batch, self.q, self.k, self.p, *turned)


@dataclass(frozen=True)
class Vector:
    """Work outside the array: `kind` names it, `flops` estimates its arithmetic.

    `fusable_with` names the GEMM that alone feeds it and could apply it to its results. `mapped`
    is False where neither the array nor a vector unit could run it.
    """

    kind: str
    elements: int
    bytes_read: int
    bytes_written: int
    flops: int
    fusable_with: str | None = None
    mapped: bool = True


@dataclass(frozen=True)
class Update:
    """An optimizer's step on one parameter of `elements`; `prunable` if it is a GEMM's weight."""

    elements: int
    prunable: bool


Work = Conv | MatMul | Vector | Update
_WORK = {kind.__name__: kind for kind in (Conv, MatMul, Vector, Update)}


@dataclass(frozen=True)
class Op:
    """One operation: `name` is unique, `layer` a module's qualified name ("" is the model)."""

    name: str
    layer: str
    stage: Stage
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    work: Work

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product; 0 outside the array."""
        return self.work.macs if isinstance(self.work, Conv | MatMul) else 0

    @property
    def flops(self) -> int:
        """Two for each multiply-accumulate, or the estimate of a vector operation."""
        return self.work.flops if isinstance(self.work, Vector) else 2 * self.macs


@dataclass(frozen=True)
class Layer:
    """Weights that take part in a GEMM. `name` is the module, `weight` the tensor.

    `conv` is the geometry of the first use, `prunable` says that the weight is itself a
    parameter. `first`: nothing asks for the gradient of its input, so it has no BP. `head`: no
    further GEMM follows in the forward pass.
    """

    name: str
    weight: str
    conv: Conv
    prunable: bool
    first: bool
    head: bool


@dataclass(frozen=True)
class Unmapped:
    """Operations of one kind that nothing here can run, and their share (0 to 1) of all FLOPs."""

    kind: str
    ops: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Step:
    """A training step of `model` on `batch` examples."""

    model: str
    batch: int
    tensors: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    ops: tuple[Op, ...]
    format: int = field(default=FORMAT)

    @cached_property
    def tensor(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def layer(self) -> dict[str, Layer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    def macs(self, *stages: Stage) -> int:
        """Dense multiply-accumulates of the given stages, or of all."""
        return sum(op.macs for op in self.ops if not stages or op.stage in stages)

    @property
    def flops(self) -> int:
        return sum(op.flops for op in self.ops)

    @property
    def unmapped(self) -> tuple[Unmapped, ...]:
        """What cannot be mapped, by kind in order of appearance."""
        kinds: dict[str, list[Op]] = {}
        for op in self.ops:
            if isinstance(op.work, Vector) and not op.work.mapped:
                kinds.setdefault(op.work.kind, []).append(op)
        total = self.flops
        return tuple(
            Unmapped(kind, tuple(op.name for op in ops), sum(op.flops for op in ops) / total)
            for kind, ops in kinds.items()
        )

    def to_json(self) -> str:
        """Compact text that `from_json` turns back into an equal step."""
        plain = asdict(self)
        for op, entry in zip(self.ops, plain["ops"], strict=True):
            entry["work"]["type"] = type(op.work).__name__
        return json.dumps(plain, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Step":
        """Raises `ValueError` if `text` is not a step of this format."""
        try:
            plain = json.loads(text)
            if plain["format"] != FORMAT:
                raise ValueError(f"format {plain['format']}, expected {FORMAT}")
            return cls(
                plain["model"],
                plain["batch"],
                tuple(Tensor(**_tupled(entry)) for entry in plain["tensors"]),
                tuple(_layer(entry) for entry in plain["layers"]),
                tuple(_op(entry) for entry in plain["ops"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a captured step: {error}") from None


def _layer(entry: dict[str, Any]) -> Layer:
    return Layer(**{**entry, "conv": Conv(**_tupled(entry["conv"]))})


def _op(entry: dict[str, Any]) -> Op:
    work = dict(entry["work"])
    kind = _WORK[work.pop("type")]
    return Op(**{**_tupled(entry), "work": kind(**_tupled(work))})


def _tupled(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
