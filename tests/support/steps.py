"""Steps of a few operations, made by hand."""

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Stage, Step, Tensor, Update


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
