"""Adder layers in ONNX, which has no such operator: one node each while PyTorch exports, then standard operators.

What PyTorch's exporter does with a node, onnxscript's optimizer does by going through the whole graph. Made of standard
operators from the start, the 1394 nodes of AdderNet's ResNet-20 took minutes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from torch import nn

DOMAIN, OP = "featherweight", "adder2d"
SETTINGS = ("stride", "padding", "dilation")
END = 2**63 - 1  # of a slice: all that there is


def adder_network(model: "nn.Module", example: Any, sizes: Any, settings: Mapping[str, Any]) -> "ModelProto":
    """Write a network with adder layers in standard operators.

    Args:
        model, example: a network in evaluation mode, and what it takes.
        sizes: which of the example's are any, for `torch.export.export`.
        settings: of `torch.onnx.export`.
    """
    import torch

    captured = torch.export.export(model, example, dynamic_shapes=sizes)
    program = torch.onnx.export(captured, custom_translation_table=_translations(), **settings)
    assert program is not None
    proto: ModelProto = program.model_proto
    _compose(proto)
    _name_batch(proto)
    return proto


def _name_batch(proto: "ModelProto") -> None:
    """Give the number of pictures its name: of what is captured before, the exporter takes a symbol of its own."""
    sides = [side for value in (*proto.graph.input, *proto.graph.output) for side in value.type.tensor_type.shape.dim]
    symbol = sides[0].dim_param
    for side in sides:
        if symbol and side.dim_param == symbol:
            side.dim_param = "batch"


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what `torch.onnx.export` is told of our operators; nothing, where a layer of that name is not ours."""
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


def has_adder_layers(model: "nn.Module") -> bool:
    """Tell whether a network has adder layers: by the name of their class, which another room defines."""
    return any(kind.__name__ == "AdderConv2d" for module in model.modules() for kind in type(module).__mro__)


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


def _compose(proto: "ModelProto") -> None:
    """Put standard operators in the place of each adder layer: slices, differences, absolute values, sums.

    Y(n, o) = bias(o) - sum over places of the kernel and channels of |X(n, c) - F(o, c)|^p
    """
    graph = proto.graph
    if not any(node.domain == DOMAIN for node in graph.node):
        return  # the layers are there, and take no part
    layers = _Layers(proto)
    nodes = [made for node in graph.node for made in (layers.made_of(node) if node.domain == DOMAIN else (node,))]
    del graph.node[:]
    graph.node.extend(nodes)
    unread = layers.cut - set(_read(nodes))
    kept = [entry for entry in graph.initializer if entry.name not in unread]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *layers.constants.values()])
    [ours] = [entry for entry in proto.opset_import if entry.domain == DOMAIN]
    proto.opset_import.remove(ours)


def _read(nodes: "Iterable[NodeProto]") -> Iterator[str]:
    """Go through the names that nodes read, those of branches and loops, too."""
    for node in nodes:
        yield from node.input
        for entry in node.attribute:
            yield from _read(entry.g.node)


class _Layers:
    def __init__(self, proto: "ModelProto") -> None:
        self.onnx = require("onnx", extra="export")
        graph = proto.graph
        known = (*graph.input, *graph.value_info, *graph.output)
        self.shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in known}
        self.shapes |= {entry.name: list(entry.dims) for entry in graph.initializer}
        self.given = {entry.name: entry for entry in graph.initializer}
        self.cut: set[str] = set()  # weights that are there place by place now
        self.constants: dict[str, Any] = {}

    def made_of(self, node: "NodeProto") -> "Iterator[NodeProto]":
        """Say one layer."""
        (x, weight, *bias), y = node.input, node.output[0]
        settings = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        filters, channels, *kernel = self.shapes[weight]
        group = () if settings["groups"] == 1 else (settings["groups"],)
        if group and not all((*self.shapes[x][2:], *self.shapes[y][2:])):
            from .onnx import ExportError

            raise ExportError(f"{y}: an adder layer in groups needs a height and width that do not depend on the batch")

        yield from self._ready(x, settings["padding"], group, channels, y)
        form = (*group, filters // settings["groups"], channels, *kernel)
        constant = self._cut(weight).reshape(form) if weight in self.given else None
        if constant is None and group:
            yield self._node("Reshape", [weight, self._numbers(form)], weight := f"{y}_filters")
        channel_axis = self._numbers((3,) if group else (2,))  # from behind, ONNX Runtime fails without pictures
        total = ""
        for place in np.ndindex(*kernel):
            name = "_".join([y, *map(str, place)])
            there, own = f"{y}_channels", weight
            if not all(size == step == 1 for size, step in zip(kernel, settings["stride"], strict=True)):
                spans = [(size - 1) * apart for size, apart in zip(kernel, settings["dilation"], strict=True)]
                starts = [at * apart for at, apart in zip(place, settings["dilation"], strict=True)]
                ends = [start - span or END for start, span in zip(starts, spans, strict=True)]  # from behind
                yield self._slice(there, starts, ends, settings["stride"], there := f"{name}_there")
            if constant is not None:
                own = self._constant(f"{name}_filters", constant[..., place[0], place[1]][..., None, None])
            elif kernel != [1, 1]:
                yield self._slice(weight, place, [at + 1 for at in place], (1, 1), own := f"{name}_filters")
            yield self._node("Sub", [there, own], terms := f"{name}_differences")
            yield self._node("Abs", [terms], terms := f"{name}_terms")
            if settings["p"] != 1:
                exponent = self._constant(f"{y}_power", np.float32(settings["p"]))
                yield self._node("Pow", [terms, exponent], terms := f"{name}_powers")
            yield self._node("ReduceSum", [terms, channel_axis], there := f"{name}_sums", keepdims=0)
            if total:
                yield self._node("Add", [total, there], there := f"{name}_total")
            total = there
        yield from self._done(total, group, bias, y)

    def _ready(
        self, x: str, padding: Sequence[int], group: tuple[int, ...], channels: int, y: str
    ) -> "Iterator[NodeProto]":
        """Lay zeros around a map, and give it an axis for the filters: [N, groups if there are any, 1, C, H, W]."""
        rows, columns = padding
        if rows or columns:
            yield self._node("Pad", [x, self._numbers((0, 0, rows, columns) * 2)], f"{y}_padded")
        source = f"{y}_padded" if rows or columns else x
        if group:
            height, width = self.shapes[x][2:]
            wanted = self._numbers((0, *group, 1, channels, height + 2 * rows, width + 2 * columns))
            yield self._node("Reshape", [source, wanted], f"{y}_channels")
        else:
            yield self._node("Unsqueeze", [source, self._numbers((1,))], f"{y}_channels")

    def _done(self, total: str, group: tuple[int, ...], bias: Sequence[str], y: str) -> "Iterator[NodeProto]":
        """Make the output of the sum of all distances."""
        yield self._node("Neg", [total], last := f"{y}_distances" if group or bias else y)
        if group:
            yield self._node(
                "Reshape", [last, self._numbers((0, *self.shapes[y][1:]))], last := f"{y}_groups" if bias else y
            )
        if bias:
            yield self._node("Unsqueeze", [bias[0], self._numbers((-2, -1))], column := f"{y}_bias")
            yield self._node("Add", [last, column], y)

    def _cut(self, weight: str) -> Any:
        self.cut.add(weight)
        return self.onnx.numpy_helper.to_array(self.given[weight])

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
