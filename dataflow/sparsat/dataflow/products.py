"""From a captured operation to the GEMMs the array runs.

| stage | A (rows)            | B (columns)            | reduction       |
|-------|---------------------|------------------------|-----------------|
| FF    | X, a pixel per row  | Wf                     | (kh, kw, ci)    |
| BP    | dY, a pixel per row | Wb                     | (kh, kw, co)    |
| WU    | X or dY, transposed | the other one          | (n, h, w)       |

Channels are padded to whole groups in memory. A stride s > 1 in BP splits the outputs into s·s
phases, each a convolution with its own taps, so that no inserted zero is ever multiplied. Spatial
padding is multiplied and counted, in BP that of dY: there the products of all phases are those of
the convolution where the stride divides its input, and may differ by a row or column elsewhere.
"""

from dataclasses import dataclass, replace

from sparsat.dataflow.ir import Conv, MatMul

CHANNEL_PAD = 4
"""Channels are a multiple of this in memory: the smallest group."""
HALF, SINGLE = 2, 4
"""Bytes of an activation or weight, and of an accumulated weight gradient."""


@dataclass(frozen=True)
class Gemm:
    """`repeat` independent products C [p, q] of A [p, k] and B [k, q], each over `images` parts.

    `a_bytes`, `b_bytes`, `c_bytes` are what one product takes in memory (A before the taps of a
    convolution multiply it; `weights` says whether B is a weight, of `k * q` values). `images` is
    into how many parts p (or k, where `reduces_images`) can be cut along whole images, `rows` into
    how many more along their rows, each needing `halo_bytes` more. `macs` are the useful products,
    without padding, of all repeats.
    """

    p: int
    q: int
    k: int
    repeat: int
    a_bytes: int
    b_bytes: int
    c_bytes: int
    weights: bool
    reduces_images: bool
    images: int
    rows: int
    halo_bytes: int
    macs: int

    def swapped(self) -> "Gemm":
        """Cᵀ = Bᵀ · Aᵀ: the same products with rows and columns exchanged."""
        return replace(self, p=self.q, q=self.p, a_bytes=self.b_bytes, b_bytes=self.a_bytes)


def forward(conv: Conv) -> list[Gemm]:
    """Y = X · Wf. One product per group of channels."""
    ci, co = _padded(conv.ci // conv.groups), conv.co // conv.groups
    pixels = conv.n * conv.oh * conv.ow
    row_bytes = conv.w * ci * HALF
    return [
        Gemm(
            p=pixels,
            q=co,
            k=conv.kh * conv.kw * ci,
            repeat=conv.groups,
            a_bytes=conv.n * conv.h * row_bytes,
            b_bytes=conv.kh * conv.kw * ci * co * HALF,
            c_bytes=pixels * co * HALF,
            weights=True,
            reduces_images=False,
            images=conv.n,
            rows=conv.oh,
            halo_bytes=(conv.kh - 1) * conv.dilation[0] * row_bytes,
            macs=conv.macs,
        )
    ]


def backward(conv: Conv) -> list[Gemm]:
    """dX = dY · Wb, one product per group and phase of the stride."""
    ci, co = conv.ci // conv.groups, _padded(conv.co // conv.groups)
    row_bytes = conv.ow * co * HALF
    phases = [
        (_count(conv.h, sy, y), _count(conv.w, sx, x), taps_y * taps_x)
        for sy, sx in [conv.stride]
        for y in range(sy)
        for x in range(sx)
        if (taps_y := _taps(conv.kh, sy, conv.dilation[0], conv.padding[0], y))
        and (taps_x := _taps(conv.kw, sx, conv.dilation[1], conv.padding[1], x))
    ]
    return [
        Gemm(
            p=conv.n * h * w,
            q=ci,
            k=taps * co,
            repeat=conv.groups,
            a_bytes=conv.n * conv.oh * row_bytes,
            b_bytes=taps * co * ci * HALF,
            c_bytes=conv.n * h * w * ci * HALF,
            weights=True,
            reduces_images=False,
            images=conv.n,
            rows=h,
            halo_bytes=(conv.kh - 1) * conv.dilation[0] * row_bytes,
            macs=conv.n * h * w * taps * conv.ci * (conv.co // conv.groups),
        )
        for h, w, taps in phases
        if h and w
    ]


def weight_gradient(conv: Conv) -> list[Gemm]:
    """dW = Xᵀ · dY: rows are (kh, kw, ci). `swapped()` gives the other orientation."""
    ci, co = _padded(conv.ci // conv.groups), _padded(conv.co // conv.groups)
    rows = conv.kh * conv.kw * ci
    return [
        Gemm(
            p=rows,
            q=co,
            k=conv.n * conv.oh * conv.ow,
            repeat=conv.groups,
            a_bytes=conv.n * conv.h * conv.w * ci * HALF,
            b_bytes=conv.n * conv.oh * conv.ow * co * HALF,
            c_bytes=rows * co * SINGLE,
            weights=False,
            reduces_images=True,
            images=conv.n,
            rows=conv.oh,
            halo_bytes=(conv.kh - 1) * conv.dilation[0] * conv.w * ci * HALF,
            macs=conv.macs,
        )
    ]


def product(work: MatMul) -> list[Gemm]:
    """A batch of products of two activations."""
    k = _padded(work.k)
    return [
        Gemm(
            p=work.p,
            q=work.q,
            k=k,
            repeat=work.batch,
            a_bytes=work.p * k * HALF,
            b_bytes=k * work.q * HALF,
            c_bytes=work.p * work.q * HALF,
            weights=False,
            reduces_images=False,
            images=1,
            rows=work.p,
            halo_bytes=0,
            macs=work.macs,
        )
    ]


def _padded(channels: int) -> int:
    return -(-channels // CHANNEL_PAD) * CHANNEL_PAD


def _count(size: int, stride: int, phase: int) -> int:
    """Pixels of a phase: those at phase, phase + stride, … below size."""
    return -(-(size - phase) // stride) if size > phase else 0


def _taps(kernel: int, stride: int, dilation: int, padding: int, phase: int) -> int:
    """Taps that reach the outputs of a phase."""
    return sum((phase + padding - tap * dilation) % stride == 0 for tap in range(kernel))
