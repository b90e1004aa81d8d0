"""Adaptive rounding: each weight up or down so that the layer's output stays, not so that the weight does."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from featherweight._extras import require

from ._layers import Float, Graph, Layer, run
from ._qdq import QuantizationError
from ._weights import largest_level, snap

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MOST_MOVES = 512  # of the weights of one output channel

Matrix = NDArray[np.float64]


class Moments(NamedTuple):
    """What a layer's inputs are on average: x in the float model, x' in the one whose earlier layers are rounded.

    Shape: means [groups, k], second and mixed moments [groups, k, k]; k weights make one output channel
    """

    mean: Matrix  # E[x]
    mean_rounded: Matrix  # E[x']
    second: Matrix  # E[x' x'^T]
    mixed: Matrix  # E[x x'^T]


def round_adaptively(
    model: "ModelProto",
    scales: Mapping[str, Float],
    bits: int,
    pictures: Float,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Float], dict[str, Float]]:
    """Round the weights layer by layer to the least error of each layer's output, and correct the biases with it.

    The error E[(W x - W' x')^2], with x' from the layers that are rounded already, is quadratic in the whole numbers of
    W' (equation 20 of AdaRound). From the nearest numbers on, the move of one weight by one step that lowers it most is
    made, until none does: coordinate descent in place of AdaRound's relaxation by gradients. There is nothing to tune,
    no layer is worse than with the nearest numbers, and the same pictures give the same weights. A MatMul whose weight
    is no matrix keeps the nearest.

    Args:
        model: float; left as it is.
        scales: of each weight, [output channels].
        bits: of a weight.
        pictures: float32 [N, C, H, W].
        progress: is told the share that is done.
    Returns: weights, and biases that keep the mean of each channel, by name.
    Source: Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020; Nair, Suggala,
        CDQuant, 2024 (coordinate descent)
    """
    onnx = require("onnx", extra="export")
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    graph = Graph(rounded)
    nodes = {node.name: node for node in model.graph.node}
    weights: dict[str, Float] = {}
    biases: dict[str, Float] = {}
    layers = graph.layers()
    for number, layer in enumerate(layers):
        if layer.weight in weights:
            continue
        weight = graph.constant(layer.weight)
        if layer.op_type == "MatMul" and weight.ndim != 2:
            weights[layer.weight] = snap(weight, scales[layer.weight], layer.axis, largest_level(bits))
            graph.set_constant(layer.weight, weights[layer.weight])
            continue
        moments = _Inputs(layer, nodes[layer.node], weight).moments(model, rounded, pictures)
        weights[layer.weight] = better_rounded(weight, scales[layer.weight], layer, bits, moments)
        graph.set_constant(layer.weight, weights[layer.weight])
        if layer.bias is not None:
            shift = _means(weight, layer, moments.mean) - _means(weights[layer.weight], layer, moments.mean_rounded)
            biases[layer.bias] = (graph.constant(layer.bias) + shift).astype(np.float32)
            graph.set_constant(layer.bias, biases[layer.bias])
        progress((number + 1) / len(layers))
    return weights, biases


def better_rounded(weight: Float, scales: Float, layer: Layer, bits: int, moments: Moments) -> Float:
    """Return the weights at the whole numbers of their scales at which the output's error has a minimum."""
    largest = largest_level(bits, depthwise=layer.depthwise)
    rows, nearest = _by_group(weight, layer), _by_group(snap(weight, scales, layer.axis, largest), layer)
    second, mixed = moments.second, moments.mixed
    if layer.bias is not None:  # the bias takes what is in the means
        second = second - moments.mean_rounded[:, :, np.newaxis] * moments.mean_rounded[:, np.newaxis]
        mixed = mixed - moments.mean[:, :, np.newaxis] * moments.mean_rounded[:, np.newaxis]
    steps = scales.astype(np.float64).reshape(len(rows), -1)
    found = [_descend(nearest[g], rows[g] @ mixed[g], second[g], steps[g], largest) for g in range(len(rows))]
    moved = np.concatenate(found).reshape(np.moveaxis(weight, layer.axis, 0).shape)
    return np.ascontiguousarray(np.moveaxis(moved, 0, layer.axis), np.float32)


def _descend(start: Matrix, target: Matrix, second: Matrix, steps: Matrix, largest: int) -> Matrix:
    """Lower w second w^T - 2 target w^T for each row w, moving one number by one step at a time."""
    steps = steps[:, np.newaxis]
    level = np.rint(start / steps)
    gradient = 2 * (level * steps @ second - target)
    every = np.arange(len(level))
    curvature = steps**2 * np.diagonal(second)
    for _ in range(min(level.shape[1] * 2, MOST_MOVES)):
        way = -np.sign(gradient)
        gains = np.where(np.abs(level + way) <= largest, steps * way * gradient + curvature, np.inf)
        places = gains.argmin(axis=1)
        moves = gains[every, places] < -1e-12 * np.abs(curvature[every, places])
        if not moves.any():
            break
        chosen = np.where(moves, way[every, places], 0.0)
        level[every, places] += chosen
        gradient += 2 * (chosen[:, np.newaxis] * steps) * second[places]
    return level * steps


def _by_group(weight: Float, layer: Layer) -> Matrix:
    """Shape: [groups, output channels in a group, k]."""
    rows = np.moveaxis(weight, layer.axis, 0).reshape(weight.shape[layer.axis], -1).astype(np.float64)
    return rows.reshape(layer.groups, len(rows) // layer.groups, -1)


def _means(weight: Float, layer: Layer, mean: Matrix) -> Matrix:
    means: Matrix = np.einsum("gok,gk->go", _by_group(weight, layer), mean).reshape(-1)
    return means


class _Inputs:
    """What a layer takes: of a place in its output, the values that each output is a product of."""

    def __init__(self, layer: Layer, node: "NodeProto", weight: Float) -> None:
        value = require("onnx", extra="export").helper.get_attribute_value
        self.layer, self.kernel = layer, weight.shape[2:]
        self._given: dict[str, Any] = {attribute.name: value(attribute) for attribute in node.attribute}
        if self._given.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise QuantizationError(f"{layer.name}: adaptive rounding wants pads as numbers; got auto_pad")

    def moments(self, model: "ModelProto", rounded: "ModelProto", pictures: Float) -> Moments:
        """Average over the pictures and the places of the output."""
        count, sums = 0, [torch.zeros(()).double()] * 4
        name = self.layer.input
        for of_float, of_rounded in zip(run(model, pictures, [name]), run(rounded, pictures, [name]), strict=True):
            x, y = self._columns(of_float[name]), self._columns(of_rounded[name])
            count += x.shape[2]
            parts = (x.sum(2), y.sum(2), y @ y.mT, x @ y.mT)
            sums = [total + part.double() for total, part in zip(sums, parts, strict=True)]
        return Moments(*((total / count).numpy() for total in sums))

    def _columns(self, values: Float) -> Tensor:
        """Shape: [groups, k, places]."""
        x = torch.from_numpy(values)
        if self.layer.op_type != "Conv":
            return x.reshape(-1, x.shape[-1]).T.unsqueeze(0)
        ones = [1] * len(self.kernel)
        pads = np.reshape(self._given.get("pads", [0, 0] * len(ones)), (2, -1))
        x = functional.pad(x, pads[:, ::-1].T.ravel().tolist())  # the last axis comes first
        for axis, side in enumerate(self.kernel):
            stride = self._given.get("strides", ones)[axis]
            dilation = self._given.get("dilations", ones)[axis]
            x = x.unfold(2 + axis, dilation * (side - 1) + 1, stride)[..., ::dilation]
        parts = x.reshape(len(x), self.layer.groups, x.shape[1] // self.layer.groups, -1, math.prod(self.kernel))
        return parts.permute(1, 2, 4, 0, 3).reshape(self.layer.groups, parts.shape[2] * parts.shape[4], -1)
