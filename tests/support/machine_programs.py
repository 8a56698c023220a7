"""Small programs written by hand: the three GEMMs of a convolution, as docs/isa.md describes them.

A linear layer is a convolution of one tap over an image of one row.
"""

from dataclasses import dataclass

from machine_layout import image_bytes, up
from sparsat.algo.patterns import NMPattern
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec, Halt, Instruction, LoadA, LoadB, Store


@dataclass(frozen=True)
class Conv:
    """Sizes of a convolution; `size` is (height, width) of its input."""

    images: int
    size: tuple[int, int]
    inputs: int
    outputs: int
    taps: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: int = 1

    @property
    def out_size(self) -> tuple[int, int]:
        height, width = (
            (length + 2 * self.padding - taps) // self.stride + 1
            for length, taps in zip(self.size, self.taps, strict=True)
        )
        return height, width

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return (self.images, *self.size, self.inputs)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return (self.images, *self.out_size, self.outputs)

    @property
    def tap_count(self) -> int:
        return self.taps[0] * self.taps[1]


@dataclass(frozen=True)
class Machine:
    """A configuration and how EXEC uses it."""

    config: SATConfig
    pattern: NMPattern
    ir: int = 2
    is_: int = 2

    def padded(self, channels: int) -> int:
        return up(channels, self.config.block)

    def blocks(self, channels: int) -> int:
        """Rows of C that one pixel takes."""
        return self.padded(channels) // self.config.cols

    def lines(self, size: int) -> int:
        return up(size, self.config.line_bytes) // self.config.line_bytes

    def load_images(self, address: int, shape: tuple[int, ...], per_chunk: int) -> dict:
        """Fields of a load of images [image, ..., channel], `per_chunk` of them each."""
        each = image_bytes(self.config, shape[1:])
        return {
            "address": address,
            "inner": shape[0] // per_chunk,
            "inner_stride": per_chunk * each,
            "lines": per_chunk * self.lines(each),
        }

    def load_weights(self, address: int, index_address: int, k: int, columns: int) -> LoadB:
        """A whole packed operand of `k` (dense) rows, as one chunk."""
        rows = k // self.pattern.m * self.pattern.n_keep * self.blocks(columns)
        sparse = not self.pattern.is_dense
        return LoadB(
            address=address,
            lines=self.lines(rows * self.config.cols * 2),
            index_address=index_address,
            index_lines=self.lines(rows * self.config.cols // 2) if sparse else 0,
        )

    def array(self, **fields: int) -> dict:
        """What the array does, as fields of EXEC."""
        return {
            "n": self.pattern.n_keep,
            "log_m": log_m_of(self.pattern.m),
            "ir": self.ir,
            "is_": self.is_,
            **fields,
        }

    def tiles(self, p: int, q_blocks: int, slots: int, ws: bool = False) -> dict:
        """Loop counts of `p` × `q_blocks` outputs over `slots` k-groups."""
        rows = self.config.rows
        counts = {"p": p, "q_blocks": q_blocks, "tiles_q": -(-q_blocks // self.is_), "k": slots}
        if ws:
            return {**counts, "ws": 1, "groups": -(-p // self.ir), "passes": -(-slots // rows)}
        return {**counts, "groups": max(1, slots), "tiles_p": -(-p // (rows * self.ir))}


def forward(
    machine: Machine,
    conv: Conv,
    x: int,
    weights: tuple[int, int],
    y: int,
    per_chunk: int = 1,
    ws: bool = False,
) -> list[Instruction]:
    """Y = X·W of `per_chunk` images at a time, weights loaded once; tensors at x, weights, y."""
    ci, m = machine.padded(conv.inputs), machine.pattern.m
    width, taps = conv.size[1], conv.tap_count
    (out_h, out_w), blocks = conv.out_size, machine.blocks(conv.outputs)
    per_tap = ci // m * machine.pattern.n_keep
    image = image_bytes(machine.config, conv.x_shape[1:]) // 2
    s, pad = conv.stride, conv.padding
    chunks = conv.images // per_chunk
    return [
        LoadA(**machine.load_images(x, conv.x_shape, per_chunk)),
        machine.load_weights(*weights, taps * ci, conv.outputs),
        Exec(
            **machine.array(),
            **machine.tiles(per_chunk * out_h * out_w, blocks, taps * ci // m, ws),
            b_n=1,
            b_k0=machine.pattern.n_keep,
            b_k1=per_tap,
            b_k2=conv.taps[1] * per_tap,
            q0_count=4096,
            b_q0=taps * per_tap,
            inner=chunks,
            a_advance=Advance.EVERY,
            c_advance=Advance.EVERY,
            a_base=-pad * (width + 1) * ci,
            r0_count=out_w,
            r1_count=out_h,
            r0_a=s * ci,
            r1_a=s * width * ci,
            r2_a=image,
            r0_x=s,
            r1_y=s,
            k0_count=ci // m,
            k1_count=conv.taps[1],
            k0_a=m,
            k1_a=ci,
            k2_a=width * ci,
            k1_x=1,
            k2_y=1,
            y0=-pad,
            x0=-pad,
            height=conv.size[0],
            width=width,
            c_p=blocks,
            c_q=1,
        ),
        store_images(machine, y, conv.y_shape, per_chunk),
        Halt(),
    ]


def store_images(
    machine: Machine, address: int, shape: tuple[int, int, int, int], per_chunk: int
) -> Store:
    """Whole images, `per_chunk` a chunk, from C rows in the order of memory."""
    rows = shape[1] * shape[2] * machine.blocks(shape[3])
    each = image_bytes(machine.config, shape[1:])
    return Store(
        address=address,
        inner=shape[0] // per_chunk,
        inner_stride=per_chunk * each,
        rows=rows,
        d1_count=per_chunk,
        d1_c=rows,
        d1_stride=each,
    )


def input_gradient(
    machine: Machine, conv: Conv, dy: int, weights: tuple[int, int], dx: int
) -> list[Instruction]:
    """dX = dY·Wᵀ, all images in one chunk; one EXEC and STORE for each phase of the stride."""
    co = machine.padded(conv.outputs)
    loads: list[Instruction] = [
        LoadA(**machine.load_images(dy, conv.y_shape, conv.images)),
        machine.load_weights(*weights, conv.tap_count * co, conv.inputs),
    ]
    s = conv.stride
    phases = [(fy, fx) for fy in range(s) for fx in range(s)]
    work: list[Instruction] = []
    for number, phase in enumerate(phases):
        held, keep = int(number > 0), int(number < len(phases) - 1)
        halves = {"a_held": held, "b_held": held, "a_keep": keep, "b_keep": keep}
        work += _phase(machine, conv, phase, halves, dx)
    return [*loads, *work, Halt()]


def _phase(
    machine: Machine, conv: Conv, phase: tuple[int, int], halves: dict, dx: int
) -> list[Instruction]:
    """Input positions `phase + stride · j`, which meet every stride-th tap from `first` on.

    Where they meet none, k is 0 and the results are zeros.
    """
    co, m, s = machine.padded(conv.outputs), machine.pattern.m, conv.stride
    blocks, out_w = machine.blocks(conv.inputs), conv.out_size[1]
    first = [(f + conv.padding) % s for f in phase]
    count = [len(range(t0, taps, s)) for t0, taps in zip(first, conv.taps, strict=True)]
    start_y, start_x = ((f + conv.padding) // s for f in phase)
    height, width = (len(range(f, n, s)) for f, n in zip(phase, conv.size, strict=True))
    per_tap = co // m * machine.pattern.n_keep
    image = image_bytes(machine.config, conv.x_shape[1:])
    pixel = machine.padded(conv.inputs) * 2
    p = conv.images * height * width
    return [
        Exec(
            **machine.array(),
            **machine.tiles(p, blocks, count[0] * count[1] * co // m),
            **halves,
            a_base=(start_y * out_w + start_x) * co,
            r0_count=width,
            r1_count=height,
            r0_a=co,
            r1_a=out_w * co,
            r2_a=image_bytes(machine.config, conv.y_shape[1:]) // 2,
            r0_x=1,
            r1_y=1,
            k0_count=co // m,
            k1_count=max(1, count[1]),
            k0_a=m,
            k1_a=-co,
            k2_a=-out_w * co,
            k1_x=-1,
            k2_y=-1,
            y0=start_y,
            x0=start_x,
            height=conv.out_size[0],
            width=out_w,
            b_base=(first[0] * conv.taps[1] + first[1]) * per_tap,
            b_n=1,
            b_k0=machine.pattern.n_keep,
            b_k1=s * per_tap,
            b_k2=s * conv.taps[1] * per_tap,
            q0_count=4096,
            b_q0=conv.tap_count * per_tap,
            c_p=blocks,
            c_q=1,
        ),
        Store(
            address=dx + phase[0] * conv.size[1] * pixel + phase[1] * pixel,
            rows=blocks,
            d1_count=width,
            d1_c=blocks,
            d1_stride=s * pixel,
            d2_count=height,
            d2_c=width * blocks,
            d2_stride=s * conv.size[1] * pixel,
            d3_count=conv.images,
            d3_c=height * width * blocks,
            d3_stride=image,
        ),
    ]


def weight_gradient(
    machine: Machine, conv: Conv, x: int, dy: int, dw: int, ws: bool = False
) -> list[Instruction]:
    """dW = Xᵀ·dY in blocks of D × cols, FP32; one image a chunk, sums kept from chunk to chunk."""
    config, m, ir = machine.config, machine.pattern.m, machine.ir
    ci, block, cols = machine.padded(conv.inputs), config.block, config.cols
    blocks, pixels = machine.blocks(conv.outputs), conv.out_size[0] * conv.out_size[1]
    width, s, pad, taps = conv.size[1], conv.stride, conv.padding, conv.tap_count
    p = taps * ci
    slots = -(-pixels // m)
    counts = machine.tiles(p, blocks, slots, ws) | {"k": pixels}
    return [
        LoadA(**machine.load_images(x, conv.x_shape, 1)),
        LoadB(**machine.load_images(dy, conv.y_shape, 1)),
        Exec(
            **machine.array(a_mn=1, b_mn=1),
            **counts,
            inner=conv.images,
            a_advance=Advance.EVERY,
            b_advance=Advance.EVERY,
            chain=1,
            a_base=-pad * (width + 1) * ci,
            r0_count=ci // ir,
            r1_count=conv.taps[1],
            r0_a=ir,
            r1_a=ci,
            r2_a=width * ci,
            r1_x=1,
            r2_y=1,
            k0_count=conv.out_size[1],
            k1_count=conv.out_size[0],
            k0_a=s * ci,
            k1_a=s * width * ci,
            k0_x=s,
            k1_y=s,
            y0=-pad,
            x0=-pad,
            height=conv.size[0],
            width=width,
            b_k0=blocks,
            b_k1=conv.out_size[1] * blocks,
            q0_count=4096,
            b_q0=1,
            c_p=blocks,
            c_q=1,
        ),
        Store(
            address=dw,
            wide=1,
            rows=block,
            c_row=blocks,
            d1_count=blocks,
            d1_c=1,
            d1_stride=block * cols * 4,
            d2_count=taps,
            d2_c=ci * blocks,
            d2_stride=blocks * block * cols * 4,
            d3_count=ci // block,
            d3_c=block * blocks,
            d3_stride=taps * blocks * block * cols * 4,
        ),
        Halt(),
    ]
