"""Steps of a few operations, made by hand, and machines to run them on."""

from hypothesis import strategies as st

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Stage, Step, Tensor, Update
from sparsat.hw.config import preset

CONFIGS = {
    "tiny": preset("tiny"),
    # Little room: slabs by rows, blocks of columns, parts of the reduction, blocks of gradients.
    "narrow": preset("tiny").with_(a_scratch_kib=12, b_scratch_kib=8, c_scratch_kib=16),
    "small": preset("small"),
}
SHORT = preset("tiny").with_(a_scratch_kib=2, c_scratch_kib=16)
"""Holds some rows of a product of two activations, seldom all."""


@st.composite
def convs(draw) -> Conv:
    """Convolutions of any geometry."""
    kh, kw = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    reach = [(k - 1) * d + 1 for k, d in zip((kh, kw), dilation, strict=True)]
    h, w = (draw(st.integers(max(r - 2 * p, 1), 9)) for r, p in zip(reach, padding, strict=True))
    groups = draw(st.sampled_from((1, 1, 1, 2, 3, 10, 21)))
    ci, co = (groups * draw(st.integers(1, 40 if groups < 4 else 2)) for _ in range(2))
    oh, ow = (
        (size + 2 * p - r) // s + 1
        for size, p, r, s in zip((h, w), padding, reach, stride, strict=True)
    )
    n = draw(st.integers(1, 5))
    return Conv(n, h, w, ci, oh, ow, co, kh, kw, stride, padding, dilation, groups)


def conv_step(work: Conv, *, first: bool = False, head: bool = False) -> Step:
    """FF, BP, WU and update of one layer."""
    layer = Layer("layer", "w", work, prunable=True, first=first, head=head)
    ops = [
        Op("layer/FF", "layer", "FF", ("x", "w"), ("y",), work),
        Op("layer/BP", "layer", "BP", ("dy", "w"), ("dx",), work),
        Op("layer/WU", "layer", "WU", ("dy", "x"), ("dw",), work),
        Op("layer/UPDATE", "layer", "UPDATE", ("w", "dw"), ("w",), Update(1, prunable=True)),
    ]
    names = ("x", "w", "y", "dy", "dx", "dw")
    tensors = tuple(Tensor(name, (1,), 4, "activation") for name in names)
    kept = [op for op in ops if not (first and op.stage == "BP")]
    return Step("hand", work.n, tensors, (layer,), tuple(kept))


def product_step(work: MatMul, images: int, stage: Stage = "FF") -> Step:
    """One product of two activations."""
    tensors = tuple(Tensor(name, (1,), 4, "activation") for name in "abc")
    op = Op("attention", "", stage, ("a", "b"), ("c",), work)
    return Step("hand", images, tensors, (), (op,))
