"""Adder layers in ONNX, which has no such operator: one node each while PyTorch exports, then standard operators.

What PyTorch's exporter does with a node, onnxscript's optimizer does by going through the whole graph. Made of standard
operators from the start, the 1394 nodes of AdderNet's ResNet-20 took minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

DOMAIN, OP = "featherweight", "adder2d"
SETTINGS = ("stride", "padding", "dilation")


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what `torch.onnx.export` is told of our operators; nothing, if no network has brought them along."""
    import torch

    library = torch.ops.featherweight
    if not hasattr(library, "adder2d"):
        return {}
    node = _node()

    def adder2d(x: Any, weight: Any, bias: Any, *settings: Any, p: float = 1.0) -> Any:
        stride, padding, dilation, groups, _gradient = settings
        return node(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, p=p)

    def adder2d_p(*given: Any) -> Any:
        return adder2d(*given[:-1], p=given[-1])

    return {library.adder2d.default: adder2d, library.adder2d_p.default: adder2d_p}


def _node() -> Callable[..., Any]:
    """Return the function that writes one node."""
    schema = require("onnx.defs", extra="export").OpSchema
    values = require("onnxscript.values", extra="export")
    tensor, kind = schema.FormalParameter, schema.AttrType
    optional = tensor("bias", "T", param_option=schema.FormalParameterOption.Optional)
    attributes = [
        *(schema.Attribute(name, kind.INTS, required=True) for name in SETTINGS),
        schema.Attribute("groups", kind.INT, required=True),
        schema.Attribute("p", kind.FLOAT, required=True),
    ]
    form = schema(
        OP, DOMAIN, 1, inputs=[tensor("x", "T"), tensor("weight", "T"), optional], outputs=[tensor("y", "T")],
        type_constraints=[("T", ["tensor(float)"], "")], attributes=attributes,
    )  # fmt: skip
    node: Callable[..., Any] = values.Op(values.Opset(DOMAIN, 1), OP, form)
    return node


def compose(proto: "ModelProto") -> None:
    """Put standard operators in the place of each adder layer: slices, differences, absolute values, sums.

    Y(n, o) = bias(o) - sum over places of the kernel and channels of |X(n, c) - F(o, c)|^p
    """
    graph = proto.graph
    if not any(node.domain == DOMAIN for node in graph.node):
        return
    layers = _Layers(proto)
    nodes = [made for node in graph.node for made in (layers.made_of(node) if node.domain == DOMAIN else (node,))]
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [entry for entry in (*graph.initializer, *layers.constants.values()) if entry.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    [ours] = [entry for entry in proto.opset_import if entry.domain == DOMAIN]
    proto.opset_import.remove(ours)


class _Layers:
    def __init__(self, proto: "ModelProto") -> None:
        self.onnx = require("onnx", extra="export")
        graph = proto.graph
        known = (*graph.input, *graph.value_info, *graph.output)
        self.shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in known}
        self.shapes |= {entry.name: list(entry.dims) for entry in graph.initializer}
        self.constants: dict[str, Any] = {}

    def made_of(self, node: "NodeProto") -> "Iterator[NodeProto]":
        """Say one layer."""
        (x, weight, *bias), y = node.input, node.output[0]
        settings = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        groups, power = settings["groups"], settings["p"]
        filters, channels, *kernel = self.shapes[weight]
        _, _, *sides = self.shapes[x]
        group = () if groups == 1 else (groups,)
        if group:
            wanted = self._numbers((*group, filters // groups, channels, *kernel))
            yield self._node("Reshape", [weight, wanted], weight := f"{y}_filters")

        if any(settings["padding"]):
            rows, columns = settings["padding"]
            sides = [sides[0] + 2 * rows, sides[1] + 2 * columns]
            yield self._node("Pad", [x, self._numbers((0, 0, rows, columns) * 2)], x := f"{y}_padded")
        yield self._node("Reshape", [x, self._numbers((0, *group, 1, channels, *sides))], x := f"{y}_channels")
        spans = [(size - 1) * apart for size, apart in zip(kernel, settings["dilation"], strict=True)]
        total = ""
        for place in np.ndindex(*kernel):
            name = "_".join([y, *map(str, place)])
            there, own = x, weight
            if not all(size == step == 1 for size, step in zip(kernel, settings["stride"], strict=True)):
                starts = [at * apart for at, apart in zip(place, settings["dilation"], strict=True)]
                ends = [side + start - span for side, start, span in zip(sides, starts, spans, strict=True)]
                yield self._slice(x, starts, ends, settings["stride"], there := f"{name}_there")
            if kernel != [1, 1]:
                yield self._slice(weight, place, [at + 1 for at in place], (1, 1), own := f"{name}_filters")
            yield self._node("Sub", [there, own], terms := f"{name}_differences")
            yield self._node("Abs", [terms], terms := f"{name}_terms")
            if power != 1:
                exponent = self._constant(f"{y}_power", np.float32(power))
                yield self._node("Pow", [terms, exponent], terms := f"{name}_powers")
            yield self._node("ReduceSum", [terms, self._numbers((-3,))], there := f"{name}_sums", keepdims=0)
            if total:
                yield self._node("Add", [total, there], there := f"{name}_total")
            total = there
        yield self._node("Neg", [total], last := f"{y}_distances" if group or bias else y)
        if group:
            wanted = self._numbers((0, filters, *self.shapes[y][2:]))
            yield self._node("Reshape", [last, wanted], last := f"{y}_groups" if bias else y)
        if bias:
            yield self._node("Unsqueeze", [bias[0], self._numbers((-2, -1))], column := f"{y}_bias")
            yield self._node("Add", [last, column], y)

    def _slice(
        self, x: str, starts: Sequence[int], ends: Sequence[int], steps: Sequence[int], output: str
    ) -> "NodeProto":
        """Take a part of a map's rows and columns."""
        return self._node("Slice", [x, *map(self._numbers, (starts, ends, (-2, -1), steps))], output)

    def _numbers(self, numbers: Sequence[int]) -> str:
        return self._constant("_".join(["adder", *map(str, numbers)]), np.array(numbers, np.int64))

    def _constant(self, name: str, value: Any) -> str:
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: int) -> "NodeProto":
        made: NodeProto = self.onnx.helper.make_node(op_type, inputs, [output], **attributes)
        return made
