"""From an int8 ONNX graph (QDQ: each operator between DequantizeLinear and QuantizeLinear) to a program.

A float tensor behind DequantizeLinear stands for bytes, and what only moves them (Reshape, Transpose, Split, Pad) is
kept as positions in their map until somebody needs them. An operator that computes waits for its QuantizeLinear, which
says the scale of what it gives.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

from . import _moves, _steps
from ._graph import Pending, Seen, Weights, attributes, is_mean, said
from ._program import Copy, Map, Program, Step, UnsupportedError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

CONSTANTS = ("Constant", "Shape", "Concat", "ConstantOfShape", "Gather", "Cast")
MOVES = (
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Gather", "Slice", "Split", "Pad", "Identity", "Dropout",
)  # fmt: skip


@dataclass
class Reader:
    """Reads a graph node by node."""

    proto: "ModelProto"
    maps: list[Map] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        to_array = require("onnx.numpy_helper", extra="export").to_array
        self.there: dict[str, Any] = {one.name: to_array(one) for one in self.proto.graph.initializer}
        self.there[""] = None

    def program(self) -> Program:
        """Return the whole network. Raises: UnsupportedError."""
        graph = self.proto.graph
        if len(graph.input) != 1 or len(graph.output) != 1:
            raise UnsupportedError(f"wanted a network of one input and one output; got {len(graph.input)} and "
                                   f"{len(graph.output)}")  # fmt: skip
        if not any(node.op_type == "QuantizeLinear" for node in graph.node):
            raise UnsupportedError("the network is in float; wanted an int8 file, of featherweight.compress.quantize")
        own = {one.name for one in graph.initializer}
        if left := [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in own]:
            raise UnsupportedError(
                f"{', '.join(map(said, left))} stayed in float; wanted all layers in int8: quantize with keep_float=0 "
                "(--keep-float 0)"
            )
        self.there[graph.input[0].name] = "picture"
        self.picture_shape = tuple(dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim)[1:]
        if len(self.picture_shape) != 3 or min(self.picture_shape) < 1:
            raise UnsupportedError(f"wanted pictures [N, C, H, W] of one size; got [N, *{list(self.picture_shape)}]")
        for node in graph.node:
            self._node(node)
        return self._finish(self.there[graph.output[0].name])

    def _node(self, node: "NodeProto") -> None:
        inputs = []
        for name in node.input:
            if name not in self.there:
                raise UnsupportedError(f"{said(node)} takes {name!r}, which no operator before it gives")
            inputs.append(self.there[name])
        try:
            given = self._given(node, inputs)
        except UnsupportedError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UnsupportedError(f"{said(node)} is not as it should be: {type(error).__name__}: {error}") from error
        for name, one in zip(node.output, given if isinstance(given, list) else [given], strict=False):
            self.there[name] = one

    def _given(self, node: "NodeProto", inputs: list[Any]) -> Any:
        """Return what an operator gives, or a list of it."""
        if node.op_type == "QuantizeLinear":
            return self._quantize(node, *inputs)
        if node.op_type == "DequantizeLinear":
            return self._dequantize(node, *inputs)
        if node.op_type in CONSTANTS and _moves.is_constant(node, inputs):
            return _moves.constant(node, inputs)
        if node.op_type in MOVES:
            return self._move(node, inputs)
        if node.op_type in ("Relu", "Clip"):
            return self._clip(node, inputs)
        if node.op_type != "Concat" and any(isinstance(one, Seen) and one.map < 0 for one in inputs):
            raise UnsupportedError(f"{said(node)} takes constant zeros; the kernels have those only in a Concat")
        return Pending(node, tuple(inputs))

    def _move(self, node: "NodeProto", inputs: list[Any]) -> Any:
        """Move the positions as the operator moves the numbers."""
        source = inputs[0]
        if isinstance(source, Pending):  # a mean's pixel, as [N, C] or [N, C, 1, 1]
            if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") and is_mean(source.node):
                return source
            raise UnsupportedError(f"{said(node)} is behind {said(source.node)} without bytes between them")
        if not isinstance(source, Seen):
            raise UnsupportedError(f"{said(node)} is of something else than bytes")
        moved = _moves.moved(node, source.index, inputs[1:])
        return [replace(source, index=one) for one in moved] if isinstance(moved, list) else Seen(source.map, moved)

    def _clip(self, node: "NodeProto", inputs: list[Any]) -> Pending:
        least, most = (0.0, np.inf) if node.op_type == "Relu" else _moves.clip_range(node, inputs)
        source = inputs[0]
        if isinstance(source, Pending):
            return replace(source, least=max(source.least, least), most=min(source.most, most))
        return Pending(node, (source,), least, most)

    def _quantize(self, node: "NodeProto", x: Any, scale: np.ndarray, zero: np.ndarray | None = None) -> Any:
        zero = np.zeros((), np.uint8) if zero is None else zero
        if zero.dtype != np.uint8 or scale.size != 1:
            raise UnsupportedError(
                f"wanted values as unsigned bytes of one scale; {said(node)} has {zero.dtype} of {scale.size} scales"
            )
        number, offset = np.float32(scale.reshape(())), int(zero.reshape(()))
        if isinstance(x, str):
            if self.maps:
                raise UnsupportedError(f"the picture becomes bytes twice, again by {said(node)}")
            channels, height, width = self.picture_shape
            return self.mapped(Map(height, width, channels, number, offset))
        if isinstance(x, Seen):
            if x.map < 0:
                return x
            own = self.maps[x.map]
            if (own.scale, own.zero) == (number, offset):
                return x
            table = _steps.table(own, number, offset, lambda values: values)
            return self.copied(x, number, offset, table)
        if isinstance(x, np.ndarray) and not x.any():
            return Seen(-1, np.full(x.shape[1:], -1))
        if not isinstance(x, Pending):
            raise UnsupportedError(f"{said(node)} is of something else than a value")
        return _steps.emit(self, x, number, offset)

    def _dequantize(self, node: "NodeProto", x: Any, scale: np.ndarray, zero: np.ndarray | None = None) -> Any:
        if isinstance(x, np.ndarray):
            zero = np.zeros(scale.shape, x.dtype) if zero is None else zero
            return Weights(x, scale, zero, attributes(node).get("axis", 1))
        if not isinstance(x, Seen):
            raise UnsupportedError(f"{said(node)} is of something else than bytes")
        if x.map < 0:
            return x
        own = self.maps[x.map]
        if scale.size != 1 or own.scale != scale.reshape(()) or own.zero != (0 if zero is None else zero.reshape(())):
            raise UnsupportedError(f"{said(node)} has another scale than the QuantizeLinear before it")
        return x

    def mapped(self, own: Map) -> Seen:
        """Note a new map, and return all of it."""
        self.maps.append(own)
        index = np.arange(own.size).reshape(own.channels, own.height, own.width)
        return Seen(len(self.maps) - 1, index)

    def copied(self, x: Seen, scale: np.float32, zero: int, table: np.ndarray | None) -> Seen:
        """Write the bytes of `x` as a map of its own."""
        shape = (*x.shape, 1, 1)[:3]
        to = self.mapped(Map(shape[1], shape[2], shape[0], scale, zero))
        self.steps.append(self.copy(x, to.map, 0, table))
        return Seen(to.map, to.index.reshape(x.shape))

    def copy(self, x: Seen, output: int, at: int, table: np.ndarray | None) -> Copy:
        """Return the step that writes the bytes of `x` into channels of a map."""
        channels, stride = _moves.picked(x.index, self.maps[x.map])
        return Copy(x.map, output, at, channels, len(x.index), stride, table)

    def whole(self, x: Any, node: "NodeProto", *, flat: bool = False) -> Seen:
        """Return `x` as all of one map, which is copied where it is a part of one; `flat` takes it as one row, too."""
        if not isinstance(x, Seen):
            came = f"{said(x.node)} in float" if isinstance(x, Pending) else "a constant"
            raise UnsupportedError(f"{said(node)} takes {came}; wanted the bytes of a layer")
        own = self.maps[x.map]
        if x.index.size != own.size or (x.index.ravel() != np.arange(own.size)).any():
            return self.copied(x, own.scale, own.zero, None)
        shape = own.channels, own.height, own.width
        if (*x.shape, 1, 1)[:3] != shape and not (flat and len(x.shape) == 1):
            raise UnsupportedError(
                f"{said(node)} takes a map {list(shape)} as {list(x.shape)}; the kernels lack such a change of shape"
            )
        return x

    def _finish(self, given: Any) -> Program:
        last = self.proto.graph.node[-1]
        if isinstance(given, Pending) and is_mean(given.node):
            _steps.check_mean(given)
            source = self.whole(given.inputs[0], last)
        elif isinstance(given, Seen) and len(given.shape) == 1:
            source = self.whole(given, last)
        else:
            came = said(given.node) if isinstance(given, Pending) else said(last)
            raise UnsupportedError(f"wanted logits [N, classes] from bytes; the last operator is {came}")
        own = self.maps[source.map]
        if source.map != len(self.maps) - 1:
            raise UnsupportedError("the logits are not what the last operator gives")
        return Program(tuple(self.maps), tuple(self.steps), own.scale / np.float32(own.height * own.width))
