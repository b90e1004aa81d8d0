"""An ONNX graph as quantization sees it: layers with weights, who makes a tensor and who takes it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

WEIGHTED = ("Conv", "Gemm", "MatMul")  # operators whose second input is a weight
BATCH = 32  # pictures per call of the runtime, where the model takes any number

Float = NDArray[np.float32]


class Layer(NamedTuple):
    """One operator with weights.

    Args:
        name: of the weight, without ".weight": for a network that we exported, the path of the layer's module.
        node: name of the operator in the graph.
        weight: name of the weight's tensor; `axis` is that of its output channels.
        bias: name of the bias' tensor; None if the operator has none.
        groups: of a convolution; 1 for the others.
        depthwise: each channel has one filter of its own.
    """

    name: str
    node: str
    op_type: str
    input: str
    output: str
    weight: str
    bias: str | None
    axis: int
    groups: int
    depthwise: bool


class Graph:
    """A model whose constants can be read and replaced; `model` is changed in place.

    Args:
        model: an ONNX model; nodes without a name, or with one that is taken, get one.
    """

    def __init__(self, model: "ModelProto") -> None:
        self.model = model
        self.makers: dict[str, NodeProto] = {}
        self.takers: dict[str, list[NodeProto]] = defaultdict(list)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        taken = Counter(node.name for node in model.graph.node)
        for number, node in enumerate(model.graph.node):
            if not node.name or taken[node.name] > 1:
                node.name = f"{node.op_type}_{number}"
            self.makers.update(dict.fromkeys(node.output, node))
            for name in dict.fromkeys(node.input):
                self.takers[name].append(node)
        self.outputs = {value.name for value in model.graph.output}

    def is_constant(self, name: str) -> bool:
        """Tell whether a tensor is stored in the file."""
        return name in self._constants

    def constant(self, name: str) -> NDArray[Any]:
        """Return a constant's values; a copy."""
        array: NDArray[Any] = require("onnx", extra="export").numpy_helper.to_array(self._constants[name])
        return array.copy()

    def set_constant(self, name: str, values: NDArray[Any]) -> None:
        """Replace a constant's values, in the type that it has."""
        helper = require("onnx", extra="export").numpy_helper
        dtype = helper.to_array(self._constants[name]).dtype
        self._constants[name].CopyFrom(helper.from_array(np.ascontiguousarray(values, dtype), name))

    def own_biases(self) -> None:
        """Give each layer a bias of its own: exporters write equal ones once, and each is corrected for itself."""
        helper = require("onnx", extra="export").numpy_helper
        nodes = {node.name: node for node in self.model.graph.node}
        uses = Counter(layer.bias for layer in self.layers())
        for layer in self.layers():
            if layer.bias is not None and uses[layer.bias] > 1:
                copied = self.model.graph.initializer.add()
                copied.CopyFrom(helper.from_array(self.constant(layer.bias), f"{layer.node}/bias"))
                self._constants[copied.name] = copied
                nodes[layer.node].input[2] = copied.name

    def layers(self) -> list[Layer]:
        """Return the layers whose weights are constants, in the order of the graph."""
        nodes = [node for node in self.model.graph.node if node.op_type in WEIGHTED and self.is_constant(node.input[1])]
        uses = Counter(node.input[1] for node in nodes)
        return [self._layer(node, shared=uses[node.input[1]] > 1) for node in nodes]

    def _layer(self, node: "NodeProto", *, shared: bool) -> Layer:
        weight = node.input[1]
        given = {attribute.name: attribute.i for attribute in node.attribute}
        bias = node.input[2] if len(node.input) > 2 and self.is_constant(node.input[2]) else None
        axis = 0 if node.op_type == "Conv" or given.get("transB") else len(self._constants[weight].dims) - 1
        name = node.name if shared else weight.removesuffix(".weight")
        groups = given.get("group", 1) if node.op_type == "Conv" else 1
        depthwise = groups > 1 and [*self._constants[weight].dims[:2]] == [groups, 1]
        ends = node.input[0], node.output[0]
        return Layer(name, node.name, node.op_type, *ends, weight, bias, axis, groups, depthwise)

    def only_taker(self, name: str) -> "NodeProto | None":
        """Return the node that takes a tensor, if there is one only and the tensor is no output of the graph."""
        takers = self.takers[name]
        return takers[0] if len(takers) == 1 and name not in self.outputs else None


def activations(model: "ModelProto") -> list[str]:
    """Return the names of all float tensors that depend on the input, the input itself first."""
    onnx = require("onnx", extra="export")
    known = {
        value.name
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    names = [value.name for value in model.graph.input] + [name for node in model.graph.node for name in node.output]
    return [name for name in names if name in known]


def run(model: "ModelProto", pictures: Float, wanted: Sequence[str]) -> Iterator[dict[str, Float]]:
    """Run a model as it is written, nothing fused, and give the wanted tensors of each batch of pictures.

    Only what the wanted tensors depend on is computed; if none are wanted, no batch is given.
    """
    if not wanted:
        return  # the runtime takes no model without outputs
    onnx = require("onnx", extra="export")
    onnxruntime = require("onnxruntime", extra="export")
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    typed = {value.name: value for value in tapped.graph.output}
    del tapped.graph.output[:], tapped.graph.node[:]
    tapped.graph.output.extend(typed.get(name, onnx.ValueInfoProto(name=name)) for name in wanted)
    tapped.graph.node.extend(_needed(model.graph.node, wanted))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    step = given.shape[0] if isinstance(given.shape[0], int) else BATCH
    inputs = [name for name in wanted if name == given.name]
    others = [name for name in wanted if name != given.name]
    for start in range(0, len(pictures), step):
        batch = pictures[start : start + step]
        found = dict(zip(others, session.run(others, {given.name: batch}), strict=True)) if others else {}
        yield {**dict.fromkeys(inputs, batch), **found}


def _needed(nodes: Sequence["NodeProto"], wanted: Sequence[str]) -> "list[NodeProto]":
    """Return the nodes that the wanted tensors depend on, in their order."""
    names, found = {*wanted}, []
    for node in reversed(nodes):
        if names.intersection(node.output):
            names.update(node.input)
            found.append(node)
    return found[::-1]


def outputs(model: "ModelProto", pictures: Float, name: str | None = None) -> Float:
    """Return a tensor on all pictures, [N, ...]; default: the model's output."""
    name = name or model.graph.output[0].name
    return np.concatenate([batch[name] for batch in run(model, pictures, [name])])


def channel_means(batches: Iterable[Mapping[str, Float]]) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each channel (axis 1) of every tensor over all batches."""
    sums: dict[str, NDArray[np.float64]] = {}
    counts: Counter[str] = Counter()
    for batch in batches:
        for name, values in batch.items():
            others = tuple(axis for axis in range(values.ndim) if axis != 1)
            sums[name] = sums.get(name, 0) + values.sum(axis=others, dtype=np.float64)
            counts[name] += values.size // values.shape[1]
    return {name: total / counts[name] for name, total in sums.items()}
