"""A smaller OpenVINO graph of the same int8 network: what its converter leaves behind is folded, shared and fused."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from featherweight._extras import require

MOVING = {"Concat", "Gather", "MaxPool", "Reshape", "Slice", "Split", "StridedSlice", "Transpose", "VariadicSplit"}
ACTIVATIONS = {"HSwish", "HardSigmoid", "Sigmoid", "Swish"}


def compact(model: Any) -> None:
    """Fold the biases, fuse swishes, and share equal constants of an `openvino.Model`, which is changed in place.

    The converter keeps each bias as whole numbers with the operators that scale them, and gives each FakeQuantize four
    constants of its own with four dimensions. Of zero points of weights, all 0, it keeps some, and OpenVINO computes
    such a layer in float. Swish and hard-swish come in two operators, with bytes between them: OpenVINO runs each as
    one. The products and means of squeeze-excite it computes in float, and is slower if what they take went into bytes
    before; so are the logits. The answers then lack these roundings; all else stays as it is.
    """
    for node in list(model.get_ordered_ops()):
        match node.get_type_name():
            case "Convert":
                _fold_bias(node)
            case "HardSigmoid" | "Sigmoid":
                _fuse_swish(node)
            case "FakeQuantize":
                _scalar_ends(node)
            case "Subtract":
                _drop_zero(node)
    for node in reversed(model.get_ordered_ops()):
        if node.get_type_name() in ("Concat", "Reshape"):
            _round_before(node)
    for node in model.get_ordered_ops():  # once swishes are fused
        if node.get_type_name() == "FakeQuantize":
            _leave_in_float(node)
            _drop_repeated(node)
    _share_constants(model)


def _fold_bias(node: Any) -> None:
    """Replace whole numbers in 32 bits, scaled and reshaped, by what comes of that."""
    constant = node.input_value(0).get_node()
    if not _is_constant(constant) or str(constant.get_element_type().get_type_name()) != "i32":
        return
    scaling = _only_taker(node)
    if scaling is None or scaling.get_type_name() != "Multiply" or not _is_constant(_source(scaling, 1)):
        return
    values = np.asarray(constant.data, np.float32) * _source(scaling, 1).data
    last, reshaping = scaling, _only_taker(scaling)
    if reshaping is not None and reshaping.get_type_name() == "Reshape" and _is_constant(_source(reshaping, 1)):
        last, values = reshaping, values.reshape(_source(reshaping, 1).data)
    _put(last, require("openvino", extra="openvino").op.Constant(np.ascontiguousarray(values, np.float32)).output(0))


def _fuse_swish(node: Any) -> None:
    """Replace x * bytes(Sigmoid(x)) by Swish(x), and by HSwish(x) with a HardSigmoid that is x / 6 + 1 / 2."""
    hard = node.get_type_name() == "HardSigmoid"
    if hard and any(not np.allclose(_source(node, at).data, wanted) for at, wanted in ((1, 1 / 6), (2, 0.5))):
        return
    rounding = _only_taker(node)
    product = rounding if rounding is None or rounding.get_type_name() == "Multiply" else _only_taker(rounding)
    if product is None or product.get_type_name() != "Multiply":
        return
    x = node.input_value(0)
    if x.get_node() in (_source(product, 0), _source(product, 1)):
        operators = require("openvino", extra="openvino").opset13
        _put(product, (operators.hswish(x) if hard else operators.swish(x)).output(0))


def _round_before(moving: Any) -> None:
    """Round what goes into a concatenation or a reshape in place of what comes out: along with what makes it, that is.

    The converter joins roundings in front of a concatenation behind it. Where another layer takes a part, too, as in a
    Ghost module, that part has two roundings then, neither of which is computed with what makes it; OpenVINO itself
    moves those of other concatenations back.
    """
    after = _only_taker(moving)
    if after is None or not _is(after, "FakeQuantize"):
        return
    parts = moving.input_values() if _is(moving, "Concat") else moving.input_values()[:1]
    alike = [
        [node for node in _takers(part) if _is(node, "FakeQuantize") and _ends(node) == _ends(after)] for part in parts
    ]
    if _is(moving, "Concat") and not any(alike):
        return
    rounded = require("openvino", extra="openvino").opset13.fake_quantize
    ends, levels = after.input_values()[1:], after.get_attributes()["levels"]
    for at, (part, found) in enumerate(zip(parts, alike, strict=True)):
        rounding = found[0] if found else rounded(part, *ends, levels)
        moving.input(at).replace_source_output(rounding.output(0))
    _put(after, moving.output(0))


def _leave_in_float(node: Any) -> None:
    """Give what computes in float the numbers before they are rounded.

    But not where the rounding's ends stand for a ReLU or a clip, which the quantizer takes out: in front of it is an
    activation then that has ends of its own, or the logits, which have both signs.
    """
    x = node.input_value(0)
    wanted = {"Multiply", "ReduceMean"} if x.get_node().get_type_name() in ACTIVATIONS else set()
    if np.all(_source(node, 1).data < 0):
        wanted.add("Result")
    for taker in list(node.output(0).get_target_inputs()):
        if taker.get_node().get_type_name() in wanted:
            taker.replace_source_output(x)


def _drop_repeated(node: Any) -> None:
    """Take a FakeQuantize away whose input others have rounded alike; a channel shuffle is one operator then."""
    makers = [_source(node, 0)]
    while makers:
        maker = makers.pop()
        if maker.get_type_name() in MOVING:
            makers += [_source(maker, at) for at in range(maker.get_input_size() if _is(maker, "Concat") else 1)]
        elif not _is(maker, "FakeQuantize") or _ends(maker) != _ends(node):
            return
    _put(node, node.input_value(0))


def _ends(node: Any) -> list[bytes]:
    """Return the ends of a FakeQuantize, by which it is told from others."""
    return [np.asarray(_source(node, at).data).tobytes() for at in range(1, 5)]


def _drop_zero(node: Any) -> None:
    """Take a subtraction of nothing but zeros away."""
    constant = _source(node, 1)
    while constant.get_type_name() in ("Convert", "Reshape"):
        constant = _source(constant, 0)
    if _is_constant(constant) and not np.any(constant.data):
        _put(node, node.input_value(0))


def _scalar_ends(node: Any) -> None:
    """Take the dimensions from ends that are one number each: written out, they are most of the text of a node."""
    for at in range(1, 5):
        end = _source(node, at)
        if _is_constant(end) and end.data.size == 1:
            scalar = require("openvino", extra="openvino").op.Constant(end.data.reshape(()).copy())
            node.input(at).replace_source_output(scalar.output(0))


def _share_constants(model: Any) -> None:
    first: dict[tuple[object, ...], Any] = {}
    for node in model.get_ordered_ops():
        if _is_constant(node):
            key = (str(node.get_element_type()), tuple(node.shape), node.data.tobytes())
            if first.setdefault(key, node) is not node:
                _put(node, first[key].output(0))


def _put(node: Any, output: Any) -> None:
    """Let all that takes a node's output take another one."""
    for taker in list(node.output(0).get_target_inputs()):
        taker.replace_source_output(output)


def _takers(output: Any) -> Iterator[Any]:
    return (taker.get_node() for taker in output.get_target_inputs())


def _only_taker(node: Any) -> Any | None:
    takers = list(_takers(node.output(0)))
    return takers[0] if len(takers) == 1 else None


def _source(node: Any, at: int) -> Any:
    return node.input_value(at).get_node()


def _is_constant(node: Any) -> bool:
    return _is(node, "Constant")


def _is(node: Any, kind: str) -> bool:
    return bool(node.get_type_name() == kind)
