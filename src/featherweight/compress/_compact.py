"""A smaller ONNX file of the same graph: in an int8 file of a small network, names are a quarter of the bytes."""

from itertools import count
from typing import TYPE_CHECKING

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import GraphProto


def compact(graph: "GraphProto") -> None:
    """Share equal constants, number tensors instead of naming them, and drop node names and inferred shapes.

    The quantizer gives each layer zero points of its own (all zero), and each tensor, scale, zero point and node a
    long name. The graph's inputs and outputs keep their names, and weights those of the network's layers.

    Args:
        graph: changed in place; has no nested graphs.
    """
    shared = _share_constants(graph)
    names: dict[str, str] = {"": ""} | {value.name: value.name for value in (*graph.input, *graph.output)}
    for tensor in graph.initializer:
        if len(tensor.dims) > 1:
            names[tensor.name] = tensor.name.removesuffix("_quantized")
    kept = {*names.values()}
    numbers = (number for number in map("{:x}".format, count()) if number not in kept)

    def short(name: str) -> str:
        name = shared.get(name, name)
        if name not in names:
            names[name] = next(numbers)
        return names[name]

    for node in graph.node:
        node.name = ""
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    del graph.value_info[:]


def _share_constants(graph: "GraphProto") -> dict[str, str]:
    """Keep one of each set of equal constants; return which name stands for which."""
    to_array = require("onnx", extra="export").numpy_helper.to_array
    first: dict[tuple[object, ...], str] = {}
    shared = {
        tensor.name: first.setdefault((tensor.data_type, *tensor.dims, to_array(tensor).tobytes()), tensor.name)
        for tensor in graph.initializer
    }
    kept = [tensor for tensor in graph.initializer if shared[tensor.name] == tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return shared
