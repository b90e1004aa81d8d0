"""Sensitivity: what it costs the answers if one layer alone is in int8."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

from ._layers import Float, Graph, Layer, outputs
from ._ranges import LEVELS, Range

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PICTURES = 64


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """What is lost if one layer alone is quantized.

    Args:
        layer: its name, that of its weight without ".weight".
        operator: "Conv", "Gemm" or "MatMul"; "Conv, depthwise" where each channel has filters of its own.
        weights: how many.
        noise: power of the error of the logits over the power of the logits, both less what all classes have in
            common, which softmax does not see; those of all layers add up, nearly.
    """

    layer: str
    operator: str
    weights: int
    noise: float

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise of the logits, in decibels: 10 log10(1 / noise)."""
        return decibels(self.noise)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it, with "sqnr_db"."""
        return {**asdict(self), "sqnr_db": self.sqnr_db}


def decibels(noise: float) -> float:
    """Return a share of noise as decibels of signal above it; at most 200, where there is none.

    Example:
        >>> decibels(0.01)
        20.0
    """
    return float(-10 * np.log10(max(noise, 1e-20)))


def noise_of(reference: Float, got: Float) -> float:
    """Return the power of the difference over the power of the reference, both [N, classes].

    What all classes have in common is taken out of both, where there are several: softmax does not see it.
    """
    both = [logits.astype(np.float64) for logits in (reference, got)]
    if reference.shape[1] != 1:
        both = [logits - logits.mean(1, keepdims=True) for logits in both]
    power = float((both[0] ** 2).mean())
    return float(((both[1] - both[0]) ** 2).mean()) / max(power, 1e-30)


def measure_sensitivity(
    model: "ModelProto",
    weights: Mapping[str, Float],
    ranges: Mapping[str, Range],
    pictures: Float,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> list[LayerSensitivity]:
    """Quantize one layer at a time: its input, its weights, its output; the most sensitive layer comes first.

    Args:
        model: float, prepared; left as it is.
        weights: the rounded weights of each layer; ranges: of the activations.
        pictures: float32 [N, C, H, W]; the first 64 are taken.
        progress: is told the share that is done.
    """
    pictures = pictures[:PICTURES]
    reference = outputs(model, pictures)
    layers = Graph(model).layers()
    found = []
    for number, layer in enumerate(layers):
        alone = _one_layer(model, layer, weights[layer.weight], ranges)
        shape = weights[layer.weight].shape
        found.append(
            LayerSensitivity(
                layer=layer.name,
                operator=layer.op_type + (", depthwise" if layer.groups > 1 and shape[1] == 1 else ""),
                weights=int(np.prod(shape)),
                noise=noise_of(reference, outputs(alone, pictures)),
            )
        )
        progress((number + 1) / len(layers))
    return sorted(found, key=lambda one: -one.noise)


def _one_layer(model: "ModelProto", layer: Layer, weight: Float, ranges: Mapping[str, Range]) -> "ModelProto":
    onnx = require("onnx", extra="export")
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    graph = Graph(alone)
    graph.set_constant(layer.weight, weight)
    node = next(node for node in alone.graph.node if node.name == layer.node)
    before = _through_bytes(alone, layer.input, f"{layer.input}/bytes", ranges[layer.input])
    node.input[0] = before[1].output[0]
    after: list[NodeProto] = []
    taker = graph.only_taker(layer.output)
    if taker is None or taker.op_type not in ("Relu", "Clip"):  # a layer's output goes into bytes behind those
        node.output[0] = f"{layer.output}/float"
        after = _through_bytes(alone, node.output[0], layer.output, ranges[layer.output])
    place = list(alone.graph.node).index(node)
    nodes = [*alone.graph.node[:place], *before, node, *after, *alone.graph.node[place + 1 :]]
    copies = [onnx.NodeProto.FromString(one.SerializeToString()) for one in nodes]
    del alone.graph.node[:]
    alone.graph.node.extend(copies)
    return alone


def _through_bytes(model: "ModelProto", name: str, result: str, ends: Range) -> "list[NodeProto]":
    """Make the two nodes that round a tensor to bytes and take it back, and add their constants."""
    helper = require("onnx", extra="export").helper
    to_tensor = require("onnx", extra="export").numpy_helper.from_array
    scale = max(ends.highest - ends.lowest, 1e-30) / LEVELS
    zero = np.uint8(np.clip(np.rint(-ends.lowest / scale), 0, LEVELS))
    model.graph.initializer.append(to_tensor(np.array(scale, np.float32), f"{result}/scale"))
    model.graph.initializer.append(to_tensor(np.array(zero), f"{result}/zero"))
    constants = [f"{result}/scale", f"{result}/zero"]
    return [
        helper.make_node("QuantizeLinear", [name, *constants], [f"{result}/quantized"]),
        helper.make_node("DequantizeLinear", [f"{result}/quantized", *constants], [result]),
    ]
