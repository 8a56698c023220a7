"""The loop nests that EXEC runs: which words of memory each GEMM reduces.

|           | A                   | B                      | reduction       |
|-----------|---------------------|------------------------|-----------------|
| FF        | X, a pixel per row  | forward copy of W      | (ky, kx, ci)    |
| BP        | dY, a pixel per row | backward copy of W     | (ky, kx, co)    |
| WU        | X, r-words          | dY, s-words            | (n, oy, ox)     |
| attention | a token per row     | tokens of the same head | k              |
"""

from dataclasses import dataclass, replace

from sparsat.dataflow.layout import Activation, Weights


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


def _matrix(x: Activation, along_y: Axis, along_x: Axis) -> bool:
    """Whether the pixels of `x`, in order, are the rows of a matrix, each from a line on."""
    plain = all(axis.taps == axis.step == 1 and not axis.origin for axis in (along_y, along_x))
    whole = (along_y.count, along_x.count) == (x.height, x.width)
    return plain and whole and x.tokens_begin_at_lines


@dataclass(frozen=True)
class Spread:
    """C [pixels, columns] of every image, reduced over taps and channels: FF, BP.

    `products` GEMMs share an image, one for each group of channels. `product`: this is only that
    one of several groups, and `products` is 1.
    """

    a: Activation
    out: Activation
    y: Axis
    x: Axis
    channels: int
    columns: int
    weights: Weights
    products: int = 1
    product: int = 0
    kernel_width: int = 1

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.y.count * self.x.count

    @property
    def images(self) -> int:
        return self.a.images

    @property
    def matrix(self) -> bool:
        """A is one: see `_matrix`."""
        return self.products == 1 and _matrix(self.a, self.y, self.x)

    def single(self, product: int) -> "Spread":
        """One group of several."""
        return replace(self, products=1, product=product)


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
    def matrix(self) -> bool:
        """X and dY are: see `_matrix`."""
        whole = _matrix(self.data, self.y, self.x) and self.gradient.tokens_begin_at_lines
        return self.products == 1 and whole

    @property
    def pixels(self) -> int:
        return self.y.count * self.x.count

    @property
    def images(self) -> int:
        return self.data.images


@dataclass(frozen=True)
class Pair:
    """C [p, q] = A [p, k] · B [k, q] of two activations, image by image: attention, whose heads
    are images of their own.

    All three are images of one row of pixels: A [p][k], or [k][p] if `a_turned`; B [k][q], or
    [q][k] if `b_turned`; C [p][q]. At most one is turned.
    """

    a: Activation
    b: Activation
    out: Activation
    p: int
    k: int
    q: int
    a_turned: bool = False
    b_turned: bool = False

    @property
    def images(self) -> int:
        return self.a.images

    @property
    def b_rows(self) -> int:
        """Rows of an image of B in the scratchpad."""
        cols = self.b.config.cols
        return -(-self.q // cols) * self.b.pitch if self.b_turned else self.b.image_values // cols


Nest = Spread | Reduce | Pair
