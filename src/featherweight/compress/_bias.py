"""Bias correction: rounded weights shift the mean of a layer's output; the bias takes the shift back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from featherweight._extras import require

from ._layers import Float, Graph, channel_means, run

if TYPE_CHECKING:
    from onnx import ModelProto

ERROR = "/error"  # behind the name of a tensor


def correct_bias(model: "ModelProto", weights: Mapping[str, Float], pictures: Float) -> dict[str, Float]:
    """Return the biases with which each channel's mean output is the same with rounded weights as with the float ones.

    The output's error is the convolution of the same input with the weights' error, E[y' - y] = E[(W' - W) * x]:
    it is measured on pictures, and subtracted. Each layer is corrected for its own weights, given the float input.
    Corrected for what comes from the layers before as well, all at once, a network of 50 layers drifts away: each layer
    answers for the same shift.

    Args:
        model: float; left as it is.
        weights: the rounded weights, by the weight's name.
        pictures: float32 [N, C, H, W]: real ones, or drawn ones.
    Returns: the corrected biases by name; layers without a bias are not among them.
    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2
    """
    onnx = require("onnx", extra="export")
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = Graph(twin)
    layers = {layer.node: layer for layer in graph.layers() if layer.bias is not None and layer.weight in weights}
    for node in list(twin.graph.node):
        if node.name not in layers:
            continue
        layer = layers[node.name]
        error = weights[layer.weight] - graph.constant(layer.weight)
        twin.graph.initializer.append(onnx.numpy_helper.from_array(error, layer.weight + ERROR))
        added = twin.graph.node.add()
        added.CopyFrom(node)
        added.name = node.name + ERROR
        added.input[:] = [layer.input, layer.weight + ERROR]
        added.output[:] = [layer.output + ERROR]
    shifts = channel_means(run(twin, pictures, [layer.output + ERROR for layer in layers.values()]))
    return {
        layer.bias: (graph.constant(layer.bias) - shifts[layer.output + ERROR]).astype("float32")
        for layer in layers.values()
        if layer.bias is not None
    }
