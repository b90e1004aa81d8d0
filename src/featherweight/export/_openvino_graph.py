"""A smaller OpenVINO graph of the same int8 network: what its converter leaves behind is folded, shared and fused."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from featherweight._extras import require


def compact(model: Any) -> None:
    """Fold the biases, fuse swishes, and share equal constants of an `openvino.Model`, which is changed in place.

    The converter keeps each bias as whole numbers with the operators that scale them, and gives each FakeQuantize four
    constants of its own with four dimensions. Swish and hard-swish come in two operators, with bytes between them:
    OpenVINO runs each as one. The answers then lack that one rounding; all else stays as it is.
    """
    for node in list(model.get_ordered_ops()):
        match node.get_type_name():
            case "Convert":
                _fold_bias(node)
            case "HardSigmoid" | "Sigmoid":
                _fuse_swish(node)
            case "FakeQuantize":
                _scalar_ends(node)
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
    _put(last, require("openvino", extra="openvino").op.Constant(np.ascontiguousarray(values, np.float32)))


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
        _put(product, operators.hswish(x) if hard else operators.swish(x))


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
                _put(node, first[key])


def _put(node: Any, other: Any) -> None:
    """Let all that takes a node's output take another's."""
    for taker in list(node.output(0).get_target_inputs()):
        taker.replace_source_output(other.output(0))


def _takers(node: Any) -> Iterator[Any]:
    return (taker.get_node() for taker in node.output(0).get_target_inputs())


def _only_taker(node: Any) -> Any | None:
    takers = list(_takers(node))
    return takers[0] if len(takers) == 1 else None


def _source(node: Any, at: int) -> Any:
    return node.input_value(at).get_node()


def _is_constant(node: Any) -> bool:
    return bool(node.get_type_name() == "Constant")
