"""Half precision in ONNX: a float32 graph computed in float16, between casts of its input and its output.

Float16 has 11 bits, from 2^-14 to 65504; below, the numbers are 2^-24 apart. A weight beyond the largest would become
infinite. Weights below the smallest are coarse only beside smaller ones still: next to the rounding of a tensor's
largest value they count for nothing, unless that is below, too. A layer with a tensor of either kind stays float32.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LIMITS = np.finfo(np.float16)


def to_half(model: "ModelProto") -> list[str]:
    """Rewrite a float32 model in place; its input and output stay float32.

    Returns: the names of the layers that stay in float32.
    """
    onnx = require("onnx", extra="export")
    floats = _floats(onnx.shape_inference.infer_shapes(model).graph)
    graph = model.graph
    misfits = {tensor.name for tensor in graph.initializer if not _fits(tensor)}
    kept = [node.name or node.output[0] for node in graph.node if misfits & {*node.input}]
    nodes = list(_nodes(graph, floats, misfits))
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        if tensor.name in floats and tensor.name not in misfits:
            _halve(tensor)
    return kept


def is_half(model: "ModelProto") -> bool:
    """Tell whether weights of a model are in float16, or anything is cast to it."""
    half = require("onnx", extra="export").TensorProto.FLOAT16
    casts = [given.i for node in model.graph.node if node.op_type == "Cast" for given in node.attribute]
    return half in casts or any(tensor.data_type == half for tensor in model.graph.initializer)


def _floats(graph: "GraphProto") -> set[str]:
    """Return the names of all values in float32."""
    onnx = require("onnx", extra="export")
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT} | {
        tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    }


def _fits(tensor: "TensorProto") -> bool:
    onnx = require("onnx", extra="export")
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return True
    largest = float(np.abs(onnx.numpy_helper.to_array(tensor)).max(initial=0))
    return largest == 0 or float(LIMITS.tiny) <= largest <= float(LIMITS.max)


def _nodes(graph: "GraphProto", floats: set[str], misfits: set[str]) -> Iterator["NodeProto"]:
    """Go through the nodes in order, with a cast wherever a value changes its type."""
    onnx = require("onnx", extra="export")
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    given, returned = graph.input[0].name, graph.output[0].name
    named = {given: f"{given}_half", returned: f"{returned}_half"}  # as it is called inside

    def cast(source: str, result: str, to: int) -> "NodeProto":
        return onnx.helper.make_node("Cast", [source], [result], name=f"{result}_cast", to=to)

    yield cast(given, named[given], half)
    again = set()  # what has been cast back to float32
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [named.get(name, name) for name in names]
        if not misfits & {*node.input}:
            _halve_attributes(node)
            yield node
            continue
        for number, name in enumerate(node.input):
            if name in floats - misfits or name in named.values():
                node.input[number] = f"{name}_single"
                if name not in again:
                    again.add(name)
                    yield cast(name, f"{name}_single", single)
        results = [name for name in node.output if name in floats or name in named.values()]
        node.output[:] = [f"{name}_whole" if name in results else name for name in node.output]
        yield node
        yield from (cast(f"{name}_whole", name, half) for name in results)
    yield cast(named[returned], returned, single)


def _halve_attributes(node: "NodeProto") -> None:
    """Make constants that a node has, and the type that it casts to, float16."""
    onnx = require("onnx", extra="export")
    if node.op_type == "ConstantOfShape" and not node.attribute:  # by default a float32 zero
        node.attribute.append(
            onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
        )
    for attribute in node.attribute:
        if attribute.HasField("t") and attribute.t.data_type == onnx.TensorProto.FLOAT:
            _halve(attribute.t)
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT:
            attribute.i = onnx.TensorProto.FLOAT16


def _halve(tensor: "TensorProto") -> None:
    onnx = require("onnx", extra="export")
    values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
