"""Cross-layer equalization: channels that share one range are scaled to fill it, and the next layer scales back."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._layers import Float, Graph, Layer, run

if TYPE_CHECKING:
    from onnx import ModelProto

SMALLEST = 1 / 64  # a channel that is nearly dead is not blown up by more

Factors = NDArray[np.float64]


class Pair(NamedTuple):
    """Two layers with nothing between them but an activation that a positive factor passes through.

    Args:
        between: the tensor that the second layer takes.
        bound: where the activation cuts off; infinity for ReLU or none.
    """

    first: Layer
    second: Layer
    between: str
    bound: float


def equalize(model: "ModelProto", pictures: Float) -> list[Pair]:
    """Scale channels between two layers so that each fills the range that they share; the answers stay the same.

    A byte's 256 levels cover the range of a whole tensor: a channel with a tenth of it has 26 levels. With
    f(s x) = s f(x) for s > 0, the first layer's channel c may be divided by s_c if the second layer's weights for it
    are multiplied by s_c. Before a depthwise convolution s_c makes all channels' ranges equal; before another layer,
    whose channels share a scale for all their weights, it shares out between activations and weights:
    s = sqrt(r1 / r2), equation 11 of the paper. r1 is the range seen of the activation: the paper's range of the first
    layer's weights does not matter where each channel has a scale of its own.

    ReLU6 passes no factor, and the paper puts ReLU in its place. Here it stays: a channel that was seen below 6 is
    scaled up to 6 at most, so that on the pictures nothing more is cut off; one that was seen at 6 is left alone. On
    other pictures such a channel is cut off at its largest value seen, as quantization with a scale of its own would.

    Args:
        model: float, changed in place.
        pictures: float32 [N, C, H, W], on which the ranges are seen.
    Returns: the pairs that were scaled.
    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1
    """
    graph = Graph(model)
    pairs = find_pairs(graph)
    seen = _largest(model, pictures, [pair.between for pair in pairs])
    for pair in pairs:
        _scale(graph, pair, factors(graph, pair, seen[pair.between]))
    return pairs


def find_pairs(graph: Graph) -> list[Pair]:
    """Return the pairs of layers in the order of the graph."""
    layers = graph.layers()
    by_node = {layer.node: layer for layer in layers}
    weights = [layer.weight for layer in layers]
    pairs = []
    for first in layers:
        between, bound = _through(graph, first.output)
        taker = graph.only_taker(between)
        second = by_node.get(taker.name) if taker is not None else None
        if second is None or second.input != between or not {first.op_type, second.op_type} <= {"Conv"}:
            continue
        if weights.count(first.weight) == weights.count(second.weight) == 1:
            pairs.append(Pair(first, second, between, bound))
    return pairs


def _through(graph: Graph, name: str) -> tuple[str, float]:
    """Go through a ReLU or ReLU6 behind a tensor, if nothing else takes it; return what comes out, and its bound."""
    taker = graph.only_taker(name)
    if taker is not None and taker.op_type == "Relu":
        return taker.output[0], np.inf
    if taker is not None and taker.op_type == "Clip" and len(taker.input) == 3:
        low, high = taker.input[1:]
        if graph.is_constant(low) and graph.is_constant(high) and float(graph.constant(low)) == 0:
            return taker.output[0], float(graph.constant(high))
    return name, np.inf


def _largest(model: "ModelProto", pictures: Float, names: list[str]) -> dict[str, Factors]:
    """Return the largest absolute value of each channel of each tensor."""
    found: dict[str, Factors] = {}
    for batch in run(model, pictures, names):
        for name, values in batch.items():
            largest = np.abs(values).max(axis=(0, 2, 3)).astype(np.float64)
            found[name] = np.maximum(found.get(name, 0), largest)
    return found


def factors(graph: Graph, pair: Pair, seen: Factors) -> Factors:
    """Return what each channel of the first layer is divided by; 1 for a channel that is dead on either side."""
    if _is_depthwise(graph, pair.second):
        wanted = seen / max(seen.max(), 1e-30)
    else:
        ranges = _input_ranges(graph.constant(pair.second.weight), pair.second.groups)
        wanted = np.sqrt(seen / np.where(ranges > 0, ranges, np.inf))
        wanted = wanted / max(wanted.max(), 1e-30)
    alive = (wanted > 0) & (seen > 0)
    wanted = np.where(alive, np.maximum(wanted, SMALLEST), 1.0)
    if np.isfinite(pair.bound):
        wanted = np.where(seen < pair.bound, np.clip(wanted, seen / pair.bound, 1.0), 1.0)
    return wanted


def _is_depthwise(graph: Graph, layer: Layer) -> bool:
    return layer.groups > 1 and graph.constant(layer.weight).shape[1] == 1


def _input_ranges(weight: Float, groups: int) -> Factors:
    """Return the largest absolute weight for each input channel."""
    parts = np.abs(weight).reshape(groups, len(weight) // groups, weight.shape[1], -1)
    ranges: Factors = parts.max(axis=(1, 3)).reshape(-1).astype(np.float64)
    return ranges


def _scale(graph: Graph, pair: Pair, factor: Factors) -> None:
    first, second = pair.first, pair.second
    weight = graph.constant(first.weight) / factor.reshape(-1, *[1] * (graph.constant(first.weight).ndim - 1))
    graph.set_constant(first.weight, weight)
    if first.bias is not None:
        graph.set_constant(first.bias, graph.constant(first.bias) / factor)
    taken = graph.constant(second.weight)
    per_group = factor.reshape(second.groups, 1, taken.shape[1], *[1] * (taken.ndim - 2))
    parts = taken.reshape(second.groups, len(taken) // second.groups, *taken.shape[1:])
    graph.set_constant(second.weight, (parts * per_group).reshape(taken.shape))
