"""What one call of each operator costs, in elementary operations on numbers."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ._op_mix import OpMix
from ._trace import OpCall, TensorInfo


class UnknownOperatorError(LookupError):
    """A traced operator has no cost formula; none is guessed. See `register_formula`."""


class Rule(NamedTuple):
    """How an operator is priced.

    Args:
        mix: the operations of one call.
        kind: of layer that a call makes.
        multiply_adds: whether its multiplications, each with its addition, are the network's multiply-adds: true of
            convolutions and matrix products.
    """

    mix: Callable[[OpCall], OpMix]
    kind: Callable[[OpCall], str]
    multiply_adds: bool


_RULES: dict[str, Rule] = {}


def register_formula(
    op: str, mix: Callable[[OpCall], OpMix], *, kind: str = "element-wise", multiply_adds: bool = False
) -> None:
    """Say what a call of the operator `op` costs; replaces an earlier formula for it.

    Args:
        op: name in PyTorch's dispatcher: "relu" for those of PyTorch, "mylibrary::my_op" for others. The formula also
            serves the in-place form with a trailing underscore.
        mix: gives the operations of one call.
        kind: layer kind under which its cost is listed.
        multiply_adds: count its multiplications as multiply-adds of the network.

    Example:
        >>> register_formula("mylibrary::halve", lambda call: OpMix(shifts=call.outputs[0].numel))
    """
    _RULES[op] = Rule(mix, lambda call: kind, multiply_adds)


def rule(call: OpCall) -> Rule:
    """Find the formula of a call's operator.

    Raises: UnknownOperatorError: there is none; the message says how to add one.
    """
    found = _RULES.get(call.op) or _RULES.get(call.op.removesuffix("_"))
    if found is None:
        name = call.op if "::" in call.op else f"aten::{call.op}"
        raise UnknownOperatorError(
            f"no cost formula for the operator {name}, called in {call.module or 'the model'} "
            f"({call.module_type.__name__}); add one: featherweight.cost.register_formula({call.op!r}, "
            "lambda call: OpMix(additions=call.outputs[0].numel))"
        )
    return found


# fmt: off
FREE = frozenset((
    "input", "output", "unread",
    "view", "_unsafe_view", "permute", "transpose", "t", "squeeze", "unsqueeze", "expand", "select", "slice", "split",
    "split_with_sizes", "unsafe_split", "unbind", "unfold", "diagonal", "alias", "detach", "lift_fresh", "as_strided",
    "squeeze_", "unsqueeze_", "transpose_", "t_", "detach_", "as_strided_",
    "empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided",
))
"""Operators without cost: they look at memory differently, or make memory without a value."""
# fmt: on


# ---- convolutions and matrix products


def _convolution(call: OpCall) -> OpMix:
    x, weight, bias = call.args[:3]
    transposed = call.args[6]
    positions = x if transposed else call.outputs[0]  # each is met once by every weight of its channel
    products = positions.numel * weight.numel // weight.shape[0]
    return OpMix(multiplies=products, additions=products + (call.outputs[0].numel if bias is not None else 0))


def _convolution_kind(call: OpCall) -> str:
    weight, transposed, groups = call.args[1], call.args[6], call.args[8]
    kernel = weight.shape[2:]
    side = "x".join(map(str, kernel)) if len(kernel) > 1 else f"{kernel[0]}x1"
    if transposed:
        return f"transposed {side}"
    if groups > 1 and weight.shape[1] == 1:
        return "depthwise"
    return f"grouped {side}" if groups > 1 else side


def _matrix_product(call: OpCall) -> OpMix:
    *added, left, _ = call.inputs
    out = call.outputs[0].numel
    products = out * left.shape[-1]
    return OpMix(multiplies=products, additions=products + out * len(added))


def _matrix_product_kind(call: OpCall) -> str:
    return "matrix product" if all(tensor.role == "activation" for tensor in call.inputs[-2:]) else "fully connected"


_RULES["convolution"] = Rule(_convolution, _convolution_kind, True)
for _op in ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"):
    _RULES[_op] = Rule(_matrix_product, _matrix_product_kind, True)


# ---- so much for each element

ADD, MULTIPLY, DIVIDE = OpMix(additions=1), OpMix(multiplies=1), OpMix(divisions=1)
COMPARE, TRANSCENDENTAL = OpMix(comparisons=1), OpMix(transcendentals=1)
SIGMOID = TRANSCENDENTAL + ADD + DIVIDE
NOTHING = OpMix()

# fmt: off
FOR_EACH_OUTPUT = {
    "activation": (
        (COMPARE, "relu threshold"),
        (COMPARE * 2, "hardtanh"),
        (COMPARE * 2 + ADD + MULTIPLY, "hardsigmoid"),
        (COMPARE * 2 + ADD + MULTIPLY * 2, "hardswish"),
        (COMPARE + MULTIPLY, "leaky_relu _prelu_kernel"),
        (COMPARE + TRANSCENDENTAL + ADD + MULTIPLY, "elu"),
        (SIGMOID, "sigmoid"),
        (SIGMOID + MULTIPLY, "silu"),
        (TRANSCENDENTAL, "tanh"),
        (TRANSCENDENTAL + MULTIPLY * 3 + ADD, "gelu"),
        (TRANSCENDENTAL * 2 + ADD, "softplus"),
        (TRANSCENDENTAL * 3 + ADD + MULTIPLY, "mish"),
        (COMPARE + ADD * 2 + TRANSCENDENTAL + DIVIDE, "_softmax _safe_softmax"),
        (COMPARE + ADD * 3 + TRANSCENDENTAL, "_log_softmax"),
    ),
    "element-wise": (
        (ADD, "add sub rsub neg"),
        (MULTIPLY, "mul"),
        (DIVIDE, "div reciprocal remainder fmod"),
        (MULTIPLY * 2 + ADD, "addcmul"),
        (MULTIPLY + ADD * 2, "lerp"),
        (TRANSCENDENTAL, "exp expm1 log log2 log1p sqrt rsqrt sin cos erf"),
        (OpMix(absolutes=1), "abs"),
        (OpMix(shifts=1), "bitwise_left_shift bitwise_right_shift __lshift__ __rshift__"),
        (COMPARE, "maximum minimum clamp_min clamp_max eq ne gt ge lt le sign floor ceil round trunc"),
        (COMPARE, "logical_and logical_or logical_not bitwise_and bitwise_or bitwise_not bitwise_xor"),
        (COMPARE * 2, "clamp"),
    ),
    "data movement": (
        (NOTHING, "cat stack clone copy _to_copy constant_pad_nd reflection_pad2d replication_pad2d roll flip repeat"),
        (NOTHING, "index index_select index_put gather scatter embedding slice_scatter select_scatter where"),
        (NOTHING, "masked_fill tril triu im2col pixel_shuffle pixel_unshuffle native_channel_shuffle channel_shuffle"),
        (NOTHING, "zeros ones full eye arange linspace scalar_tensor zero fill zeros_like ones_like full_like"),
        (NOTHING, "new_zeros new_ones new_full upsample_nearest2d"),
        (MULTIPLY * 4 + ADD * 3, "upsample_bilinear2d _upsample_bilinear2d_aa"),
        (MULTIPLY * 16 + ADD * 15, "upsample_bicubic2d _upsample_bicubic2d_aa"),
    ),
}
FOR_EACH_INPUT = {
    "element-wise": (
        (ADD, "sum cumsum"),
        (ADD + MULTIPLY, "linalg_vector_norm"),
        (ADD * 2 + MULTIPLY, "var std"),
        (COMPARE, "amax amin max min argmax argmin"),
    ),
    "data movement": ((ADD, "col2im"),),
}
# fmt: on


def _times(mix: OpMix, tensors: str) -> Callable[[OpCall], OpMix]:
    of_integers = replace(mix, additions=0, integer_additions=mix.additions)

    def formula(call: OpCall) -> OpMix:
        tensor: TensorInfo = getattr(call, tensors)[0]
        return (mix if tensor.dtype.is_floating_point else of_integers) * tensor.numel

    return formula


for _tensors, _table in (("outputs", FOR_EACH_OUTPUT), ("inputs", FOR_EACH_INPUT)):
    for _kind, _rows in _table.items():
        for _mix, _operators in _rows:
            for _op in _operators.split():
                register_formula(_op, _times(_mix, _tensors), kind=_kind)


def _power(call: OpCall) -> OpMix:
    return (MULTIPLY if call.args[1] == 2 else TRANSCENDENTAL) * call.outputs[0].numel


register_formula("pow", _power)


# ---- normalisations


def _batch_norm(call: OpCall) -> OpMix:
    # With running statistics, scale and shift of a channel are two constants; else its statistics come first.
    by_batch = bool(call.args[5])
    each = MULTIPLY + ADD
    return (each + (ADD * 3 + MULTIPLY if by_batch else NOTHING)) * call.outputs[0].numel


def _layer_norm(call: OpCall) -> OpMix:
    # Mean; subtract, square, sum; scale; and the learned scale and shift.
    affine = len(call.inputs) > 1
    each = ADD * 3 + MULTIPLY * 2 + (MULTIPLY + ADD if affine else NOTHING)
    return each * call.outputs[0].numel


register_formula("native_batch_norm", _batch_norm, kind="batch norm")
for _op in ("native_layer_norm", "native_group_norm"):
    register_formula(_op, _layer_norm, kind="normalization")


# ---- pooling; a window that reaches into the padding counts in full


def _max_pool(call: OpCall) -> OpMix:
    return COMPARE * (call.outputs[0].numel * (_window(call) - 1))


def _average_pool(call: OpCall) -> OpMix:
    return (ADD * (_window(call) - 1) + MULTIPLY) * call.outputs[0].numel


def _window(call: OpCall) -> int:
    kernel = call.args[1]
    dimensions = len(call.outputs[0].shape) - 2
    return prod(kernel) if len(kernel) > 1 else int(kernel[0]) ** dimensions


def _mean(call: OpCall) -> OpMix:
    return ADD * (call.inputs[0].numel - call.outputs[0].numel) + MULTIPLY * call.outputs[0].numel


def _adaptive_reads(call: OpCall) -> int:
    """Elements that all windows read together; neighbours overlap where the sizes do not divide."""
    before, after = call.inputs[0].shape, call.outputs[0].shape
    reads = prod(after[:2])
    for side, cells in zip(before[2:], after[2:], strict=True):
        reads *= sum(-(-(cell + 1) * side // cells) - cell * side // cells for cell in range(cells))
    return reads


def _adaptive_average_pool(call: OpCall) -> OpMix:
    out = call.outputs[0].numel
    return ADD * (_adaptive_reads(call) - out) + MULTIPLY * out


def _adaptive_max_pool(call: OpCall) -> OpMix:
    return COMPARE * (_adaptive_reads(call) - call.outputs[0].numel)


for _op in ("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d"):
    register_formula(_op, _max_pool, kind="pooling")
for _op in ("avg_pool2d", "avg_pool3d"):
    register_formula(_op, _average_pool, kind="pooling")
for _op in ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d"):
    register_formula(_op, _adaptive_average_pool, kind="pooling")
for _op in ("adaptive_max_pool2d", "adaptive_max_pool3d"):
    register_formula(_op, _adaptive_max_pool, kind="pooling")
register_formula("mean", _mean, kind="pooling")
