"""Products and convolutions of a training step, each gradient given to the GEMM it belongs to."""

from torch.fx import Node

from sparsat.dataflow.emit import Emitter
from sparsat.dataflow.gemms import (
    PRODUCTS,
    Forward,
    Forwards,
    Product,
    conv_geometry,
    is_conv,
    product_of,
    result,
    with_weights,
)
from sparsat.dataflow.ir import Conv, Stage
from sparsat.dataflow.kinds import Kind, args_of, aten
from sparsat.dataflow.values import is_backward, layer_of, numel

BIAS_GRAD = Kind("bias_grad")


class GemmLowering:
    """Recognises the nodes that are GEMMs and emits them; `forwards` are those met so far."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._values = emitter.values
        self.forwards = Forwards()
        self._parts: dict[Node, list[tuple[int, int]]] = {}

    def lower(self, node: Node) -> bool:
        """Emit `node` if it is a GEMM, and say whether it was."""
        backward = is_backward(node)
        if aten(node) in PRODUCTS:
            product = product_of(node)
            (self._product_gradient if backward else self._product)(node, product)
        elif is_conv(node):
            (self._conv_gradient if aten(node) == "convolution_backward" else self._conv)(node)
        else:
            return False
        return True

    def _product(self, node: Node, product: Product) -> None:
        weighted = with_weights(product, self._values)
        if weighted:
            self._weighted(node, *weighted, product.added)
            return
        layer = layer_of(node)
        base = self._emitter.unique(f"{layer}.matmul" if layer else "matmul")
        a, b = self._values.root[product.a], self._values.root[product.b]
        self.forwards.add(node, Forward(base, layer, a, b, None, product.matmul))
        reads = [each for each in (product.a, product.b, product.added) if each]
        self._emitter.gemm(f"{base}/FF", layer, "FF", reads, node, product.matmul)

    def _conv(self, node: Node) -> None:
        x, w, bias = args_of(node)[:3]
        self._weighted(node, x, w, conv_geometry(node), bias)

    def _weighted(self, node: Node, x: Node, w: Node, conv: Conv, bias: Node | None) -> None:
        roots = self._values.root[x], self._values.root[w]
        layer = self._layer_of_weight(node, w)
        base = self._emitter.unique(layer)
        self.forwards.add(node, Forward(base, layer, *roots, conv))
        reads = [x, w, bias] if bias else [x, w]
        self._emitter.gemm(f"{base}/FF", layer, "FF", reads, node, conv)

    def _layer_of_weight(self, node: Node, w: Node) -> str:
        """The module that owns the weight; `self_attn.in_proj` for `self_attn.in_proj_weight`,
        `self_attn.in_proj[0]` for the first slice of it that is used alone."""
        root = self._values.root[w]
        name = self._values.parameter.get(root)
        if name is None:
            return layer_of(node) or "model"
        layer = name.removesuffix("weight").rstrip("._") or name
        if numel(w) == numel(root):
            return layer
        part = (w.meta["val"].storage_offset(), numel(w))
        parts = self._parts.setdefault(root, [])
        if part not in parts:
            parts.append(part)
        return f"{layer}[{parts.index(part)}]"

    def _product_gradient(self, node: Node, product: Product) -> None:
        """A product with the weights is BP, one with the layer's input WU; attention has two BP."""
        operands = {self._values.root[product.a], self._values.root[product.b]}
        forward = self.forwards.of_gradient(node, operands)
        reads = [product.a, product.b]
        if forward is None:
            layer = layer_of(node)
            name = self._unique(f"{layer}.matmul" if layer else "matmul", "BP")
            self._emitter.gemm(name, layer, "BP", reads, node, product.matmul)
        elif forward.conv is None:
            side = "dA" if forward.w in operands else "dB"
            name = self._unique(f"{forward.base}.{side}", "BP")
            matmul = product.matmul
            if side == "dB" and forward.matmul and forward.matmul.b_transposed:
                # The gradient lies like the operand: the other way round.
                matmul, reads = matmul.mirrored(), reads[::-1]
            self._emitter.gemm(name, forward.layer, "BP", reads, node, matmul)
        else:
            of_input = forward.x in operands and forward.w not in operands
            stage: Stage = "WU" if of_input else "BP"
            name = self._unique(forward.base, stage)
            self._emitter.gemm(name, forward.layer, stage, reads, node, forward.conv)

    def _conv_gradient(self, node: Node) -> None:
        dy, x, w = args_of(node)[:3]
        forward = self.forwards.of_gradient(node, {self._values.root[x], self._values.root[w]})
        layer = forward.layer if forward else layer_of(node)
        base = forward.base if forward else layer
        conv = conv_geometry(node)
        if dx := result(node, 0):
            self._emitter.gemm(self._unique(base, "BP"), layer, "BP", [dy, w], dx, conv)
        if dw := result(node, 1):
            self._emitter.gemm(self._unique(base, "WU"), layer, "WU", [dy, x], dw, conv)
        if db := result(node, 2):
            self._emitter.vector(layer, BIAS_GRAD, [dy], [db])

    def _unique(self, base: str, suffix: str) -> str:
        return self._emitter.unique(f"{base}/{suffix}" if base else suffix)
