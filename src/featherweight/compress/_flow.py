"""Which convolution makes each channel of a tensor, seen through all that a positive factor passes unchanged."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._layers import Graph, Layer

if TYPE_CHECKING:
    from onnx import NodeProto

Numbers = NDArray[np.int64]
Constants = Sequence[NDArray[Any]]  # what an operator takes besides channels
Given = Mapping[str, Any]  # its attributes


class Taking(NamedTuple):
    """A convolution, and the number of the channel at each of its inputs."""

    layer: Layer
    channels: Numbers


class Flow(NamedTuple):
    """Channels of convolutions, numbered through, on their way to other convolutions.

    Args:
        first: the number of each making convolution's first channel.
        takings: convolutions that take numbered channels.
        free: bool for each number: it goes to convolutions only, so that they can make good what it is scaled by.
        bounds: for each number, where an activation on its way cuts off; infinity if none does.
    """

    first: dict[Layer, int]
    takings: list[Taking]
    free: NDArray[np.bool_]
    bounds: NDArray[np.float64]

    def joined(self) -> Numbers:
        """Label each number, alike for those that meet in a tensor."""
        labels = np.arange(len(self.free))
        before = None
        while before is None or (before != labels).any():
            before = labels.copy()
            for taking in self.takings:
                labels[taking.channels] = labels[taking.channels].min()
        return labels


def channel_flow(graph: Graph) -> Flow:
    """Follow the channels of every convolution to those that take them.

    They pass through ReLU, ReLU6, pooling over places, concatenation, splits, choices of channels, and shuffles, in any
    order. What meets another operator, an output, or a weight that two layers share, is not free.
    """
    layers = {layer.node: layer for layer in graph.layers() if layer.op_type == "Conv"}
    uses = Counter(layer.weight for layer in graph.layers())
    first: dict[Layer, int] = {}
    count = 0
    for layer in layers.values():
        if uses[layer.weight] == 1:
            first[layer] = count
            count += len(graph.constant(layer.weight))
    flow = Flow(first, [], np.ones(count, bool), np.full(count, np.inf))
    known: dict[str, Numbers] = {}  # in the shape of the axes between the batch and the places
    for node in graph.model.graph.node:
        taken = {name: known[name] for name in node.input if name in known}
        taker = layers.get(node.name)
        passed = None if taker else _passed(graph, node, known, flow.bounds)
        if taker in first and node.input[0] in taken:
            flow.takings.append(Taking(taker, taken[node.input[0]].ravel()))
        elif passed is None:
            for numbers in taken.values():
                flow.free[numbers] = False
        known |= passed or {}
        if taker in first:
            known[node.output[0]] = first[taker] + np.arange(len(graph.constant(taker.weight)))
    for name in graph.outputs & known.keys():
        flow.free[known[name]] = False
    return flow


def _passed(
    graph: Graph, node: "NodeProto", known: dict[str, Numbers], bounds: NDArray[np.float64]
) -> dict[str, Numbers] | None:
    """Return the channels of what comes out of an operator; None: a factor does not pass it, or its way is unknown."""
    if node.op_type not in RULES or not all(name in known or graph.is_constant(name) for name in node.input):
        return None
    taken = [known[name] for name in node.input if name in known]
    constants = [graph.constant(name) for name in node.input if name not in known]
    if not taken:
        return None
    if node.op_type == "Clip":
        if len(constants) < 2 or float(constants[0]) != 0 or not float(constants[1]) > 0:
            return None
        bounds[taken[0]] = np.minimum(bounds[taken[0]], float(constants[1]))
    given = {one.name: [*one.ints] or one.i for one in node.attribute}
    passed = RULES[node.op_type](taken, constants, given)
    return None if passed is None else dict(zip(node.output, passed, strict=False))


def _alike(taken: Sequence[Numbers], _constants: Constants, _given: Given) -> list[Numbers]:
    return [taken[0]]


def _concat(taken: Sequence[Numbers], constants: Constants, given: Given) -> list[Numbers] | None:
    flat = given["axis"] == 1 and not constants and all(numbers.ndim == 1 for numbers in taken)
    return [np.concatenate(taken)] if flat else None


def _gather(taken: Sequence[Numbers], constants: Constants, given: Given) -> list[Numbers] | None:
    flat = given.get("axis") == 1 and len(constants) == 1 and constants[0].ndim == taken[0].ndim == 1
    return [taken[0][constants[0]]] if flat else None


def _split(taken: Sequence[Numbers], constants: Constants, given: Given) -> list[Numbers] | None:
    flat = given.get("axis") == 1 and len(constants) == 1 and taken[0].ndim == 1
    return np.split(taken[0], np.cumsum(constants[0])[:-1]) if flat else None


def _slice(taken: Sequence[Numbers], constants: Constants, _given: Given) -> list[Numbers] | None:
    start, stop, *others = (values.tolist() for values in constants)  # others: axes, steps
    flat = taken[0].ndim == 1 and others in ([[1]], [[1], [1]])
    return [taken[0][start[0] : stop[0]]] if flat else None


def _reshape(taken: Sequence[Numbers], constants: Constants, _given: Given) -> list[Numbers] | None:
    sides = constants[0].tolist()[1:-2]
    return [taken[0].reshape(sides)] if sides and np.prod(sides) == taken[0].size else None


def _transpose(taken: Sequence[Numbers], _constants: Constants, given: Given) -> list[Numbers] | None:
    order, last = given.get("perm", []), taken[0].ndim + 1
    if order[:1] != [0] or order[last:] != [last, last + 1]:
        return None
    return [taken[0].transpose([axis - 1 for axis in order[1:-2]])]


RULES: dict[str, Callable[[Sequence[Numbers], Constants, Given], list[Numbers] | None]] = {
    **dict.fromkeys(("Relu", "Clip", "AveragePool", "MaxPool"), _alike),
    "Concat": _concat, "Gather": _gather, "Split": _split, "Slice": _slice, "Reshape": _reshape,
    "Transpose": _transpose,
}  # fmt: skip
