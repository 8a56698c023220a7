"""How EXEC walks the operands of WU."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from sparsat.dataflow.layout import Activation
from sparsat.dataflow.nests import Reduce


@dataclass(frozen=True)
class Block:
    """A part of the gradient: some rows of taps, blocks of input channels, blocks of columns."""

    product: int
    products: int
    first_tap: int
    taps: int
    first_in: int
    ins: int
    first_q: int
    q: int


@lru_cache(maxsize=4096)
def alike(blocks: tuple[Block, ...]) -> Counter[Block]:
    """Blocks by their sizes, and how many there are of each."""
    return Counter(replace(each, product=0, first_tap=0, first_in=0, first_q=0) for each in blocks)


@dataclass(frozen=True)
class Walk:
    """How an operand is walked: the pixel of a tensor for each reduced pixel and each tap.

    `tensor` is the operand as it lies in the scratchpad. Only X (`data`) is shifted by taps and
    leaves its image; dY is read pixel by pixel.
    """

    nest: Reduce
    tensor: Activation
    base: int
    y0: int
    y_inner: int
    data: bool

    @property
    def steps(self) -> tuple[int, int]:
        """Pixels along y and x from one reduced pixel to the next."""
        return (self.nest.y.step, self.nest.x.step) if self.data else (1, 1)

    def of_a(self, ir: int, block: Block) -> dict[str, int]:
        nest, tensor, config = self.nest, self.tensor, self.tensor.config
        fields = {
            "a_base": self.base + block.first_in * config.block + block.product * nest.inputs,
            "a_product0": nest.inputs,
            "r0_count": block.ins * config.block // ir,
            "r0_a": ir,
            "k0_a": self.steps[1] * tensor.pitch,
            "k1_a": self.steps[0] * tensor.row_values,
            "k2_a": tensor.image_values,
        }
        if not self.data:
            return fields
        y, x = nest.y, nest.x
        return fields | {
            "r1_count": x.taps,
            "r1_a": x.tap_step * tensor.pitch,
            "r2_a": y.tap_step * tensor.row_values,
            "r1_x": x.tap_step,
            "r2_y": y.tap_step,
            "k0_x": x.step,
            "k1_y": y.step,
            "y0": self.y0,
            "x0": x.origin,
            "y_inner": self.y_inner,
            "height": tensor.height,
            "width": tensor.width,
        }

    def of_b(self, block: Block) -> dict[str, int]:
        nest, tensor, cols = self.nest, self.tensor, self.tensor.config.cols
        per_product = nest.outputs // cols
        fields = {
            "b_base": self.base // cols + block.product * per_product + block.first_q,
            "b_product0": per_product,
            "b_k0": self.steps[1] * tensor.pitch // cols,
            "b_k1": self.steps[0] * tensor.row_values // cols,
            "b_k2": tensor.image_values // cols,
            "q0_count": block.q,
            "b_q0": 1,
        }
        if not self.data:
            return fields
        y, x = nest.y, nest.x
        return fields | {
            "q1_count": x.taps,
            "b_q1": x.tap_step * tensor.pitch // cols,
            "b_q2": y.tap_step * tensor.row_values // cols,
            "b_k0_x": x.step,
            "b_k1_y": y.step,
            "b_q1_x": x.tap_step,
            "b_q2_y": y.tap_step,
            "b_y0": self.y0,
            "b_x0": x.origin,
            "b_y_inner": self.y_inner,
            "b_height": tensor.height,
            "b_width": tensor.width,
        }


def walk(nest: Reduce, tensor: Activation, block: Block, down: int | None, *, data: bool) -> Walk:
    """Of a block of the gradient; slabs are `down` rows of pixels, or whole images if None."""
    if not data:
        return Walk(nest, tensor, 0, 0, 0, data)
    y, x = nest.y, nest.x
    origin = y.origin + block.first_tap * y.tap_step
    first = 0 if down is None else y.first
    base = (origin - first) * tensor.row_values + x.origin * tensor.pitch
    return Walk(nest, tensor, base, origin, (down or 0) * y.step, data)
