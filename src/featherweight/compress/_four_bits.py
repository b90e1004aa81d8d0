"""Four-bit weights as four bits in the file: two share a byte, and a runtime widens them once, when it loads."""

from typing import TYPE_CHECKING

import numpy as np

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 21, 10  # the first with INT4


def store_in_four_bits(model: "ModelProto") -> None:
    """Store the signed bytes of a quantized model's weights that are in -8..7 as ONNX's INT4, each behind a Cast.

    A runtime folds the casts when it loads the file, and then has the graph as it was: the same answers, as fast.

    Args:
        model: changed in place; its biases, scales and zero points are left alone.
    """
    onnx = require("onnx", extra="export")
    types, casts = onnx.TensorProto, []
    for tensor in model.graph.initializer:
        if tensor.data_type != types.INT8 or len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.min(initial=0) < -8 or values.max(initial=0) > 7:
            continue  # a layer of 8 bits
        name = tensor.name
        tensor.CopyFrom(onnx.helper.make_tensor(f"{name}_int4", types.INT4, values.shape, _packed(values), raw=True))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=types.INT8))
    if casts:
        nodes = [*casts, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        for entry in model.opset_import:
            if not entry.domain:
                entry.version = max(entry.version, OPSET)
        model.ir_version = max(model.ir_version, IR_VERSION)


def _packed(values: np.ndarray) -> bytes:
    """Put two numbers into a byte, the first into its lower half, as ONNX has it.

    Example:
        >>> _packed(np.array([1, -1, 7], np.int8)).hex()
        'f107'
    """
    halves = values.reshape(-1).astype(np.uint8) & 0xF
    halves = np.append(halves, np.zeros(len(halves) % 2, np.uint8))
    return bytes(halves[::2] | halves[1::2] << 4)
