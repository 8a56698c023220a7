"""What the framework's operations are to the machine: free, a vector operation, or unknown.

Arithmetic per element is an estimate for the vector unit, transcendental functions counted as a
short polynomial. `passes` says how often the large input must be read: normalising over a batch
or a group of planes needs its statistics first, so twice.
"""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

POLYNOMIAL = 8
"""Operations of an exponential, logarithm, square root or the like."""


@dataclass(frozen=True)
class Kind:
    """`name` is what people read; `flops` are per element processed."""

    name: str
    flops: int = 1
    passes: int = 1
    mapped: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = _words(
    "_unsafe_view clone _to_copy detach alias contiguous lift_fresh_copy _reshape_copy reshape "
    "split split_with_sizes chunk unbind tensor_split convert_element_type "
    "pixel_shuffle pixel_unshuffle"
)
"""Free beside what PyTorch itself marks as a view: layouts and precisions cost nothing here."""

FACTORIES = _words(
    "full zeros ones empty arange scalar_tensor eye linspace full_like zeros_like ones_like "
    "empty_like new_full new_zeros new_ones new_empty new_empty_strided empty_strided"
)
"""Use of their inputs for shape only."""

GATHERS = frozenset({"embedding", "index", "gather"})
"""Kinds that read as much of their table as they return."""

FUSABLE = frozenset({"bias_add", "relu", "relu_backward"})
"""Kinds that a GEMM's output path can apply."""

_NAMED = {
    "threshold_backward": Kind("relu_backward"),
    "gelu": Kind("gelu", POLYNOMIAL),
    "gelu_backward": Kind("gelu_backward", 2 * POLYNOMIAL),
    "silu": Kind("silu", POLYNOMIAL),
    "silu_backward": Kind("silu_backward", 2 * POLYNOMIAL),
    "hardtanh_backward": Kind("hardtanh_backward"),
    "hardswish": Kind("hardswish", 4),
    "hardswish_backward": Kind("hardswish_backward", 4),
    "hardsigmoid_backward": Kind("hardsigmoid_backward", 2),
    "leaky_relu_backward": Kind("leaky_relu_backward"),
    "_prelu_kernel": Kind("prelu", 2),
    "_prelu_kernel_backward": Kind("prelu_backward", 3),
    "_softmax": Kind("softmax", POLYNOMIAL + 3),
    "_safe_softmax": Kind("softmax", POLYNOMIAL + 3),
    "_softmax_backward_data": Kind("softmax_backward", 4),
    "_log_softmax": Kind("log_softmax", POLYNOMIAL + 3),
    "_log_softmax_backward_data": Kind("log_softmax_backward", POLYNOMIAL + 3),
    "logsumexp": Kind("logsumexp", POLYNOMIAL + 2),
    "nll_loss_forward": Kind("loss"),
    "nll_loss_backward": Kind("loss_backward"),
    "nll_loss2d_forward": Kind("loss"),
    "nll_loss2d_backward": Kind("loss_backward"),
    "_native_batch_norm_legit_functional": Kind("batch_norm", 7, passes=2),
    "_batch_norm_with_update_functional": Kind("batch_norm", 7, passes=2),
    "_native_batch_norm_legit": Kind("batch_norm", 7, passes=2),
    "native_batch_norm": Kind("batch_norm", 7, passes=2),
    "native_batch_norm_backward": Kind("batch_norm_backward", 11, passes=2),
    "batch_norm_backward": Kind("batch_norm_backward", 11, passes=2),
    "native_group_norm": Kind("group_norm", 7, passes=2),
    "native_group_norm_backward": Kind("group_norm_backward", 11, passes=2),
    "native_layer_norm": Kind("layer_norm", 7),
    "native_layer_norm_backward": Kind("layer_norm_backward", 11),
    "_fused_rms_norm": Kind("rms_norm", 4),
    "_fused_rms_norm_backward": Kind("rms_norm_backward", 8),
    "max_pool2d_with_indices": Kind("max_pool", 2),
    "max_pool2d_with_indices_backward": Kind("max_pool_backward"),
    "avg_pool2d": Kind("avg_pool", 2),
    "avg_pool2d_backward": Kind("avg_pool_backward", 2),
    "_adaptive_avg_pool2d": Kind("avg_pool", 2),
    "_adaptive_avg_pool2d_backward": Kind("avg_pool_backward", 2),
    "adaptive_max_pool2d": Kind("max_pool", 2),
    "adaptive_max_pool2d_backward": Kind("max_pool_backward"),
    "native_dropout": Kind("dropout", 3),
    "native_dropout_backward": Kind("dropout_backward", 2),
    "bernoulli": Kind("random", 2),
    "rand_like": Kind("random", 2),
    "randn_like": Kind("random", 2 * POLYNOMIAL),
    "rand": Kind("random", 2),
    "randn": Kind("random", 2 * POLYNOMIAL),
    "embedding": Kind("embedding", 0),
    "_embedding_bag": Kind("embedding"),
    "_embedding_bag_backward": Kind("embedding_backward"),
    "_embedding_bag_dense_backward": Kind("embedding_backward"),
    "embedding_dense_backward": Kind("embedding_backward"),
    "index": Kind("index", 0),
    "_unsafe_index": Kind("index", 0),
    "_unsafe_index_put": Kind("scatter"),
    "index_select": Kind("index", 0),
    "gather": Kind("gather", 0),
    "index_put": Kind("scatter"),
    "index_add": Kind("scatter"),
    "scatter_add": Kind("scatter"),
    "scatter": Kind("scatter", 0),
    "cat": Kind("concat", 0),
    "stack": Kind("concat", 0),
    "select_backward": Kind("concat", 0),
    "slice_backward": Kind("concat", 0),
    "slice_scatter": Kind("concat", 0),
    "select_scatter": Kind("concat", 0),
    "as_strided_scatter": Kind("concat", 0),
    "constant_pad_nd": Kind("pad", 0),
    "reflection_pad2d": Kind("pad", 0),
    "reflection_pad2d_backward": Kind("pad_backward"),
    "replication_pad2d": Kind("pad", 0),
    "replication_pad2d_backward": Kind("pad_backward"),
    "repeat": Kind("copy", 0),
    "copy": Kind("copy", 0),
    "flip": Kind("copy", 0),
    "roll": Kind("copy", 0),
    "upsample_nearest2d": Kind("upsample", 0),
    "upsample_nearest2d_backward": Kind("upsample_backward"),
    "upsample_bilinear2d": Kind("upsample", 8),
    "upsample_bilinear2d_backward": Kind("upsample_backward", 8),
    "_weight_norm_interface": Kind("weight_norm", 4),
    "_weight_norm_interface_backward": Kind("weight_norm_backward", 6),
    "convolution": Kind("convolution3d", mapped=False),
    "convolution_backward": Kind("convolution3d_backward", mapped=False),
    "mv": Kind("matrix_vector", 2),
    "dot": Kind("dot", 2),
}
_TRANSCENDENTAL = _words(
    "exp log log2 log1p expm1 pow sqrt rsqrt sin cos tanh sigmoid erf softplus "
    "tanh_backward sigmoid_backward softplus_backward elu elu_backward mish"
)
_UNTAGGED_REDUCTIONS = _words("sum mean var var_mean std amax amin max min prod norm")


def aten(node: Node) -> str:
    """The operation without namespace and overload, `mm` for `aten.mm.default`; "" for others."""
    target = node.target
    return target._schema.name.split("::")[-1] if isinstance(target, torch._ops.OpOverload) else ""


def args_of(node: Node) -> tuple[Any, ...]:
    """The node's arguments, whose types depend on the operation."""
    return node.args


def is_view(node: Node) -> bool:
    """Whether the node only renames, reorders, repeats, selects or casts its first input."""
    if node.target is operator.getitem:
        return is_view(args_of(node)[0])
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    if aten(node).endswith("_scatter"):  # tagged as views, but they combine two tensors
        return False
    copies = torch.Tag.view_copy in node.target.tags
    return node.target.is_view or copies or aten(node) in VIEWS


def is_random(node: Node) -> bool:
    target = node.target
    seeded = torch.Tag.nondeterministic_seeded
    return isinstance(target, torch._ops.OpOverload) and seeded in target.tags


def kind_of(node: Node) -> Kind:
    """The vector operation that `node` is; `mapped=False` under its own name if none is known."""
    name = aten(node)
    if name in _NAMED:
        return _NAMED[name]
    if not isinstance(node.target, torch._ops.OpOverload):
        return Kind(getattr(node.target, "__name__", str(node.target)), mapped=False)
    plain, tags = name.strip("_"), node.target.tags
    if torch.Tag.pointwise in tags or name in _TRANSCENDENTAL:
        return Kind(plain, POLYNOMIAL if name in _TRANSCENDENTAL else 1)
    if torch.Tag.reduction in tags or name in _UNTAGGED_REDUCTIONS:
        return Kind(plain)
    return Kind(plain, mapped=False)
