"""Cross-layer equalization: channels that share one range are scaled to fill it, and the next layer scales back."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._flow import Flow, Numbers, channel_flow
from ._layers import Float, Graph, run

if TYPE_CHECKING:
    from onnx import ModelProto

SMALLEST = 1 / 64  # a channel that is nearly dead is not blown up by more

Factors = NDArray[np.float64]


def equalize(model: "ModelProto", pictures: Float) -> int:
    """Scale channels between layers so that each fills the range that they share; the answers stay the same.

    A byte's 256 levels cover the range of a whole tensor: a channel with a tenth of it has 26 levels. With
    f(s x) = s f(x) for s > 0, the first layer's channel c may be divided by s_c if the weights for it in all layers
    behind are multiplied by s_c. Before depthwise convolutions s_c makes all channels' ranges equal; before others,
    whose channels share a scale for all their weights, it shares out between activations and weights:
    s = sqrt(r1 / r2), equation 11 of the paper. r1 is the range seen of the activation: the paper's range of the first
    layer's weights does not matter where each channel has a scale of its own.

    The paper has pairs of layers, one behind the other. Here a channel may also go to several layers, and meet others
    in a concatenation or a shuffle.

    ReLU6 passes no factor, and the paper puts ReLU in its place. Here it stays: a channel that was seen below 6 is
    scaled up to 6 at most, so that on the pictures nothing more is cut off; one that was seen at 6 is left alone. On
    other pictures such a channel is cut off at its largest value seen, as quantization with a scale of its own would.

    Args:
        model: float, changed in place.
        pictures: float32 [N, C, H, W], on which the ranges are seen.
    Returns: between how many pairs of layers channels were scaled.
    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1
    """
    graph = Graph(model)
    flow = channel_flow(graph)
    seen = _largest(model, pictures, flow)
    found = factors(graph, flow, seen)
    for layer, start in flow.first.items():
        made = graph.constant(layer.weight)
        factor = found[start : start + len(made)]
        graph.set_constant(layer.weight, made / factor.reshape(-1, *[1] * (made.ndim - 1)))
        if layer.bias is not None:
            graph.set_constant(layer.bias, graph.constant(layer.bias) / factor)
    for layer, channels in flow.takings:
        taken = graph.constant(layer.weight)
        per_group = found[channels].reshape(layer.groups, 1, taken.shape[1], *[1] * (taken.ndim - 2))
        parts = taken.reshape(layer.groups, len(taken) // layer.groups, *taken.shape[1:])
        graph.set_constant(layer.weight, (parts * per_group).reshape(taken.shape))
    return sum(len({*_makers(flow, channels[found[channels] != 1])}) for _, channels in flow.takings)


def can_equalize(graph: Graph) -> bool:
    """Tell whether a graph has channels that can be scaled."""
    flow = channel_flow(graph)
    return any(flow.free[channels].any() for _, channels in flow.takings)


def _makers(flow: Flow, channels: Numbers) -> list[int]:
    """Return for each channel which of the making layers it is from."""
    found: list[int] = (np.searchsorted(list(flow.first.values()), channels, side="right") - 1).tolist()
    return found


def _largest(model: "ModelProto", pictures: Float, flow: Flow) -> Factors:
    """Return the largest absolute value of each channel, where layers take it."""
    seen = np.zeros(len(flow.free))
    takings = [taking for taking in flow.takings if flow.free[taking.channels].any()]
    for batch in run(model, pictures, list(dict.fromkeys(taking.layer.input for taking in takings))):
        for layer, channels in takings:
            values = np.abs(batch[layer.input])
            np.maximum.at(seen, channels, values.max(axis=(0, *range(2, values.ndim))))
    return seen


def factors(graph: Graph, flow: Flow, seen: Factors) -> Factors:
    """Return what each channel is divided by; 1 for one that is not free, or dead on either side.

    Args:
        seen: the largest absolute value of each channel.
    """
    ranges, dense = np.zeros_like(seen), np.zeros(len(seen), bool)
    for layer, channels in flow.takings:
        if not layer.depthwise:
            np.maximum.at(ranges, channels, _input_ranges(graph.constant(layer.weight), layer.groups))
            dense[channels] = True
    wanted = np.where(dense, np.sqrt(seen / np.where(ranges > 0, ranges, np.inf)), seen)
    labels = flow.joined()
    for label in np.unique(labels[dense]):  # channels that meet dense ones get the range that those have then
        met = labels == label
        after = np.sqrt(seen * ranges)[met & dense & flow.free]
        if (met & ~dense).any() and after.any():
            wanted[met & ~dense] /= np.median(after[after > 0])
    wanted[~flow.free] = 0.0
    largest = np.zeros_like(seen)
    np.maximum.at(largest, labels, wanted)
    wanted = wanted / np.maximum(largest[labels], 1e-30)
    alive = (wanted > 0) & (seen > 0)
    wanted = np.where(alive, np.maximum(wanted, SMALLEST), 1.0)
    bounded = np.where(seen < flow.bounds, np.clip(wanted, seen / flow.bounds, 1.0), 1.0)
    return np.where(np.isfinite(flow.bounds), bounded, wanted)


def _input_ranges(weight: Float, groups: int) -> Factors:
    """Return the largest absolute weight for each input channel."""
    parts = np.abs(weight).reshape(groups, len(weight) // groups, weight.shape[1], -1)
    ranges: Factors = parts.max(axis=(1, 3)).reshape(-1).astype(np.float64)
    return ranges
