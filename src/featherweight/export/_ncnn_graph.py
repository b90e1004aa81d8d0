"""An ONNX file in the words that pnnx knows: the few that it misreads are said in others, with the same result."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

from .onnx import ExportError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def in_words_of_pnnx(proto: "ModelProto") -> "ModelProto":
    """Return the file with what pnnx misreads said otherwise.

    - Gather of several channels: it keeps the first alone. Said as slices, side by side, or as nothing where all
      channels stay in their places, as in most of CondenseNet's.
    - Slice with a step: ncnn has none. Said as max pooling of one pixel with that stride.
    - Mean over rows or columns alone, as where a map is smaller than a grid it is averaged to: it loses the axis. Said
      as average pooling of the whole side.
    - Two shuffles of channels in a row, as in MicroNet: it takes them for one. The map between them is said.

    Raises: ExportError: the network has adder layers, which as standard operators need more dimensions than ncnn has.
    """
    onnx = require("onnx", extra="export")
    if any(node.op_type == "Abs" for node in proto.graph.node):
        raise ExportError(
            "ncnn has no adder layer, and made of standard operators it has five dimensions, where ncnn has four: "
            "AdderNets in bytes run in our own kernels (--to adder-int8)"
        )
    written = onnx.ModelProto()
    written.CopyFrom(proto)
    words = _Words(onnx, onnx.shape_inference.infer_shapes(proto))
    del written.graph.node[:]
    for node in proto.graph.node:
        written.graph.node.extend(words.of(node))
    written.graph.initializer.extend(words.constants)
    return written


class _Words:
    def __init__(self, onnx: Any, proto: "ModelProto") -> None:
        self.onnx = onnx
        known = (*proto.graph.input, *proto.graph.value_info, *proto.graph.output)
        self.shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in known}
        self.given = {entry.name: onnx.numpy_helper.to_array(entry) for entry in proto.graph.initializer}
        self.constants: list[Any] = []

    def of(self, node: "NodeProto") -> "Iterator[NodeProto]":
        """Say one node."""
        if node.op_type == "Gather" and (channels := self._channels(node)) is not None:
            yield from self._gather(node, channels)
        elif node.op_type == "Slice" and (stride := self._stride(node)) is not None:
            yield self._node("MaxPool", [node.input[0]], node.output[0], kernel_shape=[1, 1], strides=stride)
        elif node.op_type == "ReduceMean" and (side := self._side(node)) is not None:
            yield self._node("AveragePool", [node.input[0]], node.output[0], kernel_shape=side)
        elif node.op_type == "Reshape" and (shape := self._between(node)) is not None:
            whole = f"{node.output[0]}_whole"
            yield self._node("Reshape", [node.input[0], self._constant(f"{whole}_shape", shape)], whole)
            kept = f"{node.output[0]}_kept"  # pnnx would join two reshapes again
            yield self._node("MaxPool", [whole], kept, kernel_shape=[1, 1])
            yield self._node("Reshape", [kept, node.input[1]], node.output[0])
        else:
            yield node

    def _channels(self, node: "NodeProto") -> list[int] | None:
        """Return which channels a node takes; None: it does something else."""
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        channels = self.given.get(node.input[1])
        return channels.tolist() if axis == 1 and channels is not None and channels.ndim == 1 else None

    def _gather(self, node: "NodeProto", channels: list[int]) -> "Iterator[NodeProto]":
        if channels == [*range(self.shapes[node.input[0]][1])]:
            yield self._node("Identity", [node.input[0]], node.output[0])
            return
        # Runs of neighbours have one distance to their places.
        runs = [[c for _, c in run] for _, run in groupby(enumerate(channels), lambda place: place[1] - place[0])]
        parts: list[str] = []
        for run in runs:
            parts.append(f"{node.output[0]}_{len(parts)}")
            bounds = {"start": run[0], "end": run[-1] + 1, "axis": 1}
            names = [self._constant(f"{parts[-1]}_{what}", [bound]) for what, bound in bounds.items()]
            yield self._node("Slice", [node.input[0], *names], parts[-1])
        yield self._node("Concat", parts, node.output[0], axis=1)

    def _stride(self, node: "NodeProto") -> list[int] | None:
        """Return the stride of a slice that takes every so many rows or columns; None: it does something else."""
        bounds = [self.given.get(name) for name in node.input[1:]]
        if len(bounds) < 4 or any(bound is None or bound.size != 1 for bound in bounds):
            return None
        start, end, axis, step = (int(bound.item()) for bound in bounds if bound is not None)
        shape = self.shapes[node.input[0]]
        if axis not in (2, 3) or len(shape) != 4 or start != 0 or end < shape[axis] or step < 2:
            return None
        return [step, 1] if axis == 2 else [1, step]

    def _side(self, node: "NodeProto") -> list[int] | None:
        """Return the pixels of the one side that a mean is over; None: it does something else."""
        keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
        axes = self.given.get(node.input[1]) if len(node.input) > 1 else None
        shape = self.shapes[node.input[0]]
        if not keeps or axes is None or axes.size != 1 or len(shape) != 4:
            return None
        axis = axes.item() % 4
        return {2: [shape[2], 1], 3: [1, shape[3]]}.get(axis)

    def _between(self, node: "NodeProto") -> list[int] | None:
        """Return the shape of the whole map between one shuffle of channels and the next; None: it is no such place."""
        came, gone = (self.shapes.get(name, []) for name in (node.input[0], node.output[0]))
        if len(came) != 5 or len(gone) != 5 or came[3:] != gone[3:]:
            return None
        return [-1, gone[1] * gone[2], *gone[3:]]

    def _constant(self, name: str, values: list[int]) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> Any:
        return self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes)
