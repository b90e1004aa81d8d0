"""Into int8: QuantizeLinear and DequantizeLinear in an ONNX graph, by ONNX Runtime's tools, with ranges of our own."""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featherweight._extras import require

from ._layers import WEIGHTED, Float, Graph

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

    from ._ranges import Range


class QuantizationError(ValueError):
    """A model cannot be quantized, or the quantizer left it in float."""


def prepared(path: str | os.PathLike[str]) -> "ModelProto":
    """Read a float model as the quantizer wants it: constants folded, and the shape of every tensor known."""
    onnx = require("onnx", extra="export")
    tools = require("onnxruntime.quantization", extra="export")
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder:
        written = Path(folder) / "prepared.onnx"
        # Symbolic shapes are for transformers; here the plain inference knows every shape but the batch.
        tools.shape_inference.quant_pre_process(path, written, skip_symbolic_shape=True)
        model: ModelProto = onnx.load(written)
    Graph(model).own_biases()  # and names every node
    return model


def to_int8(
    model: "ModelProto",
    ranges: Mapping[str, "Range"],
    scales: Mapping[str, Float],
    keep_float: Collection[str] = (),
) -> "ModelProto":
    """Quantize a prepared model: unsigned bytes for activations, signed bytes for weights, a scale per channel.

    Args:
        model: float; it is left as it is.
        ranges: of every float tensor that depends on the input.
        scales: of each layer's weight, by the weight's name; float32 [output channels].
        keep_float: names of the layers (`Layer.name`) that stay in float.
    Raises: QuantizationError: another layer than those of `keep_float` stayed in float, or one of them did not.
    """
    onnx = require("onnx", extra="export")
    tools = require("onnxruntime.quantization", extra="export")
    registry = require("onnxruntime.quantization.registry", extra="export")
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    layers = Graph(copied).layers()
    kept = [layer.node for layer in layers if layer.name in keep_float]
    ends = {name: (np.float32(lowest), np.float32(highest)) for name, (lowest, highest) in ranges.items()}
    quantizer = tools.QDQQuantizer(
        copied,
        per_channel=True,
        reduce_range=False,
        weight_qType=tools.QuantType.QInt8,
        activation_qType=tools.QuantType.QUInt8,
        tensors_range=tools.TensorsData(tools.CalibrationMethod.MinMax, ends),
        nodes_to_quantize=[],
        nodes_to_exclude=[*kept, *_only_around(copied, kept)],
        op_types_to_quantize=sorted({*registry.QLinearOpsRegistry, *registry.QDQRegistry}),
        extra_options={
            "TensorQuantOverrides": {
                layer.weight: [{"axis": layer.axis, "scale": scale, "zero_point": 0} for scale in scales[layer.weight]]
                for layer in layers
                if layer.node not in kept
            }
        },
    )
    quantized: ModelProto = quantizer.quantize_model()
    quantizer.model.topological_sort()
    demand_int8(quantized, kept)
    return quantized


def _only_around(model: "ModelProto", kept: Collection[str]) -> list[str]:
    """Return the names of nodes without weights that serve float layers only: all before them, or all behind, is float.

    Were they quantized, a layer in float would still see bytes.
    """
    graph = Graph(model)
    is_float = {*kept}
    before = -1
    while before != len(is_float):
        before = len(is_float)
        for node in model.graph.node:
            if node.op_type in WEIGHTED or node.name in is_float:
                continue
            makers = [graph.makers[name] for name in node.input if name in graph.makers]
            takers = [taker for name in node.output for taker in graph.takers[name]]
            if any(around and all(one.name in is_float for one in around) for around in (makers, takers)):
                is_float.add(node.name)
    return sorted(is_float.difference(kept))


def demand_int8(model: "ModelProto", kept: Collection[str] = ()) -> None:
    """See that every weight but the kept ones is int8 and its layer's input quantized: the tools may skip in silence.

    Args:
        kept: names of the nodes that are to be in float.
    """
    left = list(_left_in_float(model.graph))
    if more := [name for name in left if name not in kept]:
        raise QuantizationError(f"the quantizer left {len(more)} layers in float: {', '.join(more)}")
    if fewer := sorted({*kept}.difference(left)):
        raise QuantizationError(f"{len(fewer)} layers were to stay in float and did not: {', '.join(fewer)}")
    if not any(node.op_type in WEIGHTED for node in model.graph.node):
        raise QuantizationError("no layer has weights")


def _left_in_float(graph: "GraphProto") -> Iterator[str]:
    onnx = require("onnx", extra="export")
    made_by = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in WEIGHTED:
            continue
        sources = [made_by.get(name) for name in node.input[:2]]
        stored = [source.input[0] for source in sources if source is not None and source.op_type == "DequantizeLinear"]
        if len(stored) < 2 or weights.get(stored[1]) != onnx.TensorProto.INT8:
            yield node.name
