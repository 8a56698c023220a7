"""From a captured operation to its loop nests.

A stride s > 1 in BP splits the outputs into s·s phases, each a convolution with its own taps, so
that no inserted zero is ever multiplied. Where only one phase has taps (1 × 1 kernels) the others
are zero, and only that phase is stored: what adds it to the gradient of another path spreads it.
Groups of a grouped convolution are joined until their channels fill whole blocks, as a
block-diagonal dense product.
"""

from dataclasses import replace
from math import gcd, lcm

from sparsat.dataflow.ir import Conv, MatMul
from sparsat.dataflow.layout import Activation, Weights, padded
from sparsat.dataflow.nests import Axis, Nest, Pair, Reduce, Spread
from sparsat.hw.config import SATConfig


def nests(
    config: SATConfig, work: Conv | MatMul, stage: str, images: int, first: bool
) -> list[Nest]:
    """The GEMMs of one operation; `images` are the examples of the batch.

    `first`: the layer reads the network's input, whose patches the host has laid out. Phases of a
    BP come in order and share B.
    """
    if isinstance(work, MatMul):
        return [_attention(config, work)]
    if work.transposed:
        mirrored = {"FF": "BP", "BP": "FF"}.get(stage, stage)
        return nests(config, work.mirrored(), mirrored, images, first=False)
    conv = _joined(config, _patched(config, _tokens(config, work, images), first))
    lower = {"FF": _forward, "BP": _backward, "WU": _weight_gradient}
    return lower[stage](config, conv)


def _tokens(config: SATConfig, conv: Conv, images: int) -> Conv:
    """Rows of a linear layer as images of one row of pixels: as few as fill whole lines, so that
    slabs can be small, or else those of an example."""
    if conv != Conv(conv.n, 1, 1, conv.ci, 1, 1, conv.co, groups=conv.groups):
        return conv
    w = config.line_bytes // gcd(padded(conv.ci, config.block) * 2, config.line_bytes)
    if conv.n % w:
        w = conv.n // images if conv.n % images == 0 else 1
    return replace(conv, n=conv.n // w, w=w, ow=w)


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


def _axes(conv: Conv) -> tuple[Axis, Axis]:
    """y and x: which pixel of X each tap takes for each pixel of Y."""
    return (
        Axis(conv.oh, conv.kh, -conv.padding[0], conv.stride[0], conv.dilation[0]),
        Axis(conv.ow, conv.kw, -conv.padding[1], conv.stride[1], conv.dilation[1]),
    )


def weights_of(config: SATConfig, conv: Conv) -> Weights:
    """Of one group, joined."""
    return Weights.of(config, conv.kh * conv.kw, conv.ci // conv.groups, conv.co // conv.groups)


def _forward(config: SATConfig, conv: Conv) -> list[Nest]:
    x, y = _activations(config, conv)
    down, across = _axes(conv)
    return [
        Spread(
            a=x,
            out=y,
            y=down,
            x=across,
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
    down, across = _axes(conv)
    return [
        Reduce(
            data=x,
            gradient=y,
            y=down,
            x=across,
            weights=weights_of(config, conv),
            products=conv.groups,
        )
    ]


def _attention(config: SATConfig, work: MatMul) -> Pair:
    """Operands that lie as EXEC wants them; where both would be turned, only B is."""
    a_turned = work.a_transposed and not work.b_transposed

    def tokens(rows: int, channels: int, *, turned: bool = False) -> Activation:
        width, inner = (channels, rows) if turned else (rows, channels)
        return Activation(config, work.batch, 1, width, inner)

    return Pair(
        a=tokens(work.p, work.k, turned=a_turned),
        b=tokens(work.k, work.q, turned=work.b_transposed),
        out=tokens(work.p, work.q),
        p=work.p,
        k=work.k,
        q=work.q,
        a_turned=a_turned,
        b_turned=work.b_transposed,
    )
