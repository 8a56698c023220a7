"""From a captured operation to the loop nests of EXEC: which words of memory each GEMM reduces.

| stage | A                   | B                      | reduction       |
|-------|---------------------|------------------------|-----------------|
| FF    | X, a pixel per row  | forward copy of W      | (ky, kx, ci)    |
| BP    | dY, a pixel per row | backward copy of W     | (ky, kx, co)    |
| WU    | X, r-words          | dY, s-words            | (n, oy, ox)     |

A stride s > 1 in BP splits the outputs into s·s phases, each a convolution with its own taps, so
that no inserted zero is ever multiplied. Where only one phase has taps (1 × 1 kernels) the others
are zero, and only that phase is stored: what adds it to the gradient of another path spreads it.
Groups of a grouped convolution are joined until their channels fill whole blocks, as a
block-diagonal dense product.
"""

from dataclasses import dataclass, replace
from math import gcd, lcm

from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.layout import Activation, Weights, padded
from sparsat.hw.config import SATConfig


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution as EXEC walks it: `count` outputs, `taps` taps.

    Input coordinate = `origin` + output · `step` + tap · `tap_step`; tap t is the kernel's
    `first_tap` + t · `tap_pitch`. The result goes to `phase` + output · `out_step`.
    """

    count: int
    taps: int = 1
    origin: int = 0
    step: int = 1
    tap_step: int = 1
    first_tap: int = 0
    tap_pitch: int = 1
    phase: int = 0
    out_step: int = 1

    @property
    def reach(self) -> int:
        """Input coordinates that one output needs."""
        return (max(self.taps, 1) - 1) * abs(self.tap_step) + 1

    @property
    def first(self) -> int:
        """The least input coordinate that output 0 needs."""
        return self.origin + min(0, (max(self.taps, 1) - 1) * self.tap_step)


@dataclass(frozen=True)
class Spread:
    """C [pixels, columns] of every image, reduced over taps and channels: FF, BP, attention.

    `products` GEMMs share an image (groups, heads). B is `weights`, or the activation `b` of the
    same image, `b_turned` where its tokens are the columns. `a_words_of_rows`: A lies in memory
    with the rows' axis innermost. `planes`: heads are planes of C (of A if not), else parts of a
    pixel.
    `product`: this is only that one of several groups, and `products` is 1.
    """

    a: Activation
    out: Activation
    y: Axis
    x: Axis
    channels: int
    columns: int
    products: int = 1
    product: int = 0
    weights: Weights | None = None
    kernel_width: int = 1
    b: Activation | None = None
    b_turned: bool = False
    a_words_of_rows: bool = False
    planes: bool = False

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.y.count * self.x.count

    @property
    def images(self) -> int:
        return self.a.images // (self.products if self.scores_in_a else 1)

    def single(self, product: int) -> "Spread":
        """One group of several."""
        return replace(self, products=1, product=product)

    @property
    def scores_in_a(self) -> bool:
        return self.b is not None and not self.b_turned


@dataclass(frozen=True)
class Reduce:
    """dW [taps · inputs, outputs] = Xᵀ · dY, reduced over all pixels: WU.

    `y`, `x` say which pixel of X each tap takes for each pixel of dY. X is A, whose rows are taps
    and channels; or, `turned`, X is B, the columns are taps and channels, and dW comes out as
    [outputs, taps · inputs].
    """

    data: Activation
    gradient: Activation
    y: Axis
    x: Axis
    weights: Weights
    products: int = 1
    turned: bool = False

    @property
    def a(self) -> Activation:
        return self.gradient if self.turned else self.data

    @property
    def b(self) -> Activation:
        return self.data if self.turned else self.gradient

    @property
    def inputs(self) -> int:
        """Channels of A (one product), whole blocks."""
        return self.weights.outputs if self.turned else self.weights.inputs

    @property
    def outputs(self) -> int:
        """Channels of B (one product), whole blocks."""
        return self.weights.inputs if self.turned else self.weights.outputs

    @property
    def pixels(self) -> int:
        return self.y.count * self.x.count

    @property
    def images(self) -> int:
        return self.data.images


Nest = Spread | Reduce


def nests(
    config: SATConfig, work: Conv | MatMul, stage: str, images: int, first: bool
) -> list[Nest]:
    """The GEMMs of one operation; `images` are the examples of the batch.

    `first`: the layer reads the network's input, whose patches the host has laid out. Phases of a
    BP come in order and share B.
    """
    if isinstance(work, MatMul):
        return [_attention(config, work, images)]
    if work.transposed:
        mirrored = {"FF": "BP", "BP": "FF"}.get(stage, stage)
        return nests(config, work.mirrored(), mirrored, images, first=False)
    conv = _joined(config, _patched(config, _tokens(config, work, images), first))
    lower = {"FF": _forward, "BP": _backward, "WU": _weight_gradient}
    return lower[stage](config, conv)


def _tokens(config: SATConfig, conv: Conv, images: int) -> Conv:
    """Rows of a linear layer as pixels of the images they belong to.

    Image rows of as few pixels as fill whole lines, so that slabs can be small.
    """
    if conv.h * conv.w > 1 or conv.n % images or conv.n == images:
        return conv
    tokens = conv.n // images
    w = config.line_bytes // gcd(padded(conv.ci, config.block) * 2, config.line_bytes)
    h, w = (1, tokens) if tokens % w else (tokens // w, w)
    return replace(conv, n=images, h=h, w=w, oh=h, ow=w)


def _patched(config: SATConfig, conv: Conv, first: bool) -> Conv:
    """The 1 × 1 convolution over patches that the first layer's input is stored as."""
    taps = conv.kh * conv.kw
    if not first or conv.groups > 1 or taps == 1 or conv.ci >= config.block:
        return conv
    return Conv(conv.n, conv.oh, conv.ow, conv.ci * taps, conv.oh, conv.ow, conv.co)


def _joined(config: SATConfig, conv: Conv) -> Conv:
    """Groups joined until the channels of each fill whole blocks; the rest multiplies zeros."""
    if conv.groups == 1:
        return conv
    ci, co = conv.ci // conv.groups, conv.co // conv.groups
    together = groups_together(config, conv)
    groups = -(-conv.groups // together)
    if groups == 1:
        return replace(conv, groups=1)
    return replace(conv, ci=groups * together * ci, co=groups * together * co, groups=groups)


def groups_together(config: SATConfig, conv: Conv) -> int:
    """How many groups of a convolution make a block-diagonal product of whole blocks."""
    ci, co, block = conv.ci // conv.groups, conv.co // conv.groups, config.block
    return lcm(block // gcd(block, ci), block // gcd(block, co))


def _activations(config: SATConfig, conv: Conv) -> tuple[Activation, Activation]:
    x = Activation(config, conv.n, conv.h, conv.w, conv.ci)
    y = Activation(config, conv.n, conv.oh, conv.ow, conv.co)
    return x, y


def weights_of(config: SATConfig, conv: Conv) -> Weights:
    """Of one group, joined."""
    return Weights.of(config, conv.kh * conv.kw, conv.ci // conv.groups, conv.co // conv.groups)


def _forward(config: SATConfig, conv: Conv) -> list[Nest]:
    x, y = _activations(config, conv)
    return [
        Spread(
            a=x,
            out=y,
            y=Axis(conv.oh, conv.kh, -conv.padding[0], conv.stride[0], conv.dilation[0]),
            x=Axis(conv.ow, conv.kw, -conv.padding[1], conv.stride[1], conv.dilation[1]),
            channels=conv.ci // conv.groups,
            columns=conv.co // conv.groups,
            products=conv.groups,
            weights=weights_of(config, conv),
            kernel_width=conv.kw,
        )
    ]


def _backward(config: SATConfig, conv: Conv) -> list[Nest]:
    x, y = _activations(config, conv)
    axes = [
        _phases(size, *window)
        for size, *window in (
            (conv.h, conv.kh, conv.stride[0], conv.padding[0], conv.dilation[0]),
            (conv.w, conv.kw, conv.stride[1], conv.padding[1], conv.dilation[1]),
        )
    ]
    if all(sum(axis.taps > 0 for axis in along) == 1 for along in axes):
        axes = [[replace(a, phase=0, out_step=1) for a in along if a.taps] for along in axes]
        x = replace(x, height=axes[0][0].count, width=axes[1][0].count)
    return [
        Spread(
            a=y,
            out=x,
            y=along_y,
            x=along_x,
            channels=conv.co // conv.groups,
            columns=conv.ci // conv.groups,
            products=conv.groups,
            weights=weights_of(config, conv),
            kernel_width=conv.kw,
        )
        for along_y in axes[0]
        for along_x in axes[1]
    ]


def _phases(size: int, kernel: int, stride: int, padding: int, dilation: int) -> list[Axis]:
    """Input coordinates phase, phase + stride, … of the gradient, for each phase below `size`.

    Coordinate i takes from output o = (i + padding − tap · dilation) / stride where that is whole.
    """
    phases = []
    for phase in range(min(stride, size)):
        taps = [t for t in range(kernel) if (phase + padding - t * dilation) % stride == 0]
        first = taps[0] if taps else 0
        pitch = taps[1] - first if len(taps) > 1 else 1
        phases.append(
            Axis(
                count=-(-(size - phase) // stride),
                taps=len(taps),
                origin=(phase + padding - first * dilation) // stride,
                tap_step=-pitch * dilation // stride if len(taps) > 1 else -1,
                first_tap=first,
                tap_pitch=pitch,
                phase=phase,
                out_step=stride,
            )
        )
    return phases


def _weight_gradient(config: SATConfig, conv: Conv) -> list[Nest]:
    x, y = _activations(config, conv)
    return [
        Reduce(
            data=x,
            gradient=y,
            y=Axis(conv.oh, conv.kh, -conv.padding[0], conv.stride[0], conv.dilation[0]),
            x=Axis(conv.ow, conv.kw, -conv.padding[1], conv.stride[1], conv.dilation[1]),
            weights=weights_of(config, conv),
            products=conv.groups,
        )
    ]


def _attention(config: SATConfig, work: MatMul, images: int) -> Spread:
    """Scores lie as planes [image, head][token, token], features as [image][token, head · d]."""
    if work.batch % images:
        images = work.batch
    heads = work.batch // images

    def features(tokens: int, width: int) -> Activation:
        of_all = heads * padded(width, config.block) if heads > 1 else width
        return Activation(config, images, tokens, 1, of_all)

    def scores(rows: int, inner: int) -> Activation:
        return Activation(config, images * heads, rows, 1, inner)

    if work.b_transposed:
        a, b, out = features(work.p, work.k), features(work.q, work.k), scores(work.p, work.q)
        return Spread(
            a=a, b=b, out=out, b_turned=True, planes=True, products=heads, y=Axis(work.p),
            x=Axis(1), channels=work.k, columns=work.q,
        )  # fmt: skip
    turned = work.a_transposed
    a = scores(work.k, work.p) if turned else scores(work.p, work.k)
    return Spread(
        a=a, b=features(work.k, work.q), out=features(work.p, work.q), products=heads,
        a_words_of_rows=turned, y=Axis(work.p), x=Axis(1), channels=work.k, columns=work.q,
    )  # fmt: skip
