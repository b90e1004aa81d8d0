"""From a network of adder layers to the steps of a runner in bytes: its graph, read node by node."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from ._ranges import Ranges, graph_of

LEVELS = 255

MOVING = {"slice", "cat"}  # with means: what a pooling to a grid is made of, which changes nothing where they fit
PASSING = {"dropout", "flatten", "view", "reshape", "clone", "contiguous", "alias", "detach"}
Step = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """What a step gives. A byte b stands for low + unit * b."""

    kind: Literal["picture", "bytes", "floats"]
    number: int
    low: float = 0.0
    unit: float = 1.0


@dataclass(frozen=True)
class Layer:
    """A layer that has not been written yet: factor * (layer + bias) + addend (+ shortcut), then ReLU."""

    kind: Literal["convolution", "adder", "linear"]
    source: Value
    weight: Tensor
    settings: Step
    factor: Tensor
    addend: Tensor
    node: Node
    shortcut: Value | None = None
    relu: bool = False


@torch.no_grad()
def compiled(model: nn.Module, calibration: np.ndarray, error: type[Exception]) -> list[Step]:
    """Return the steps, each a dictionary with the name of its kind under "step"."""
    pictures = torch.from_numpy(calibration)
    graph = graph_of(model, pictures)
    return _Compiler(graph, Ranges(graph).over(pictures), error).steps


class _Compiler:
    def __init__(self, graph: GraphModule, ranges: Ranges, error: type[Exception]) -> None:
        self.graph, self.ranges, self.error = graph, ranges, error
        self.steps: list[Step] = []
        self.there: dict[Node, Value | Layer] = {}
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                self.there[node] = Value("picture", 0)
            elif node.op == "call_function":
                self._call(node, self._name(node))
            elif node.op == "output":
                self._finish(node.args[0][0])

    def _name(self, node: Node) -> str:
        return getattr(node.target, "__name__", str(node.target)).partition(".")[0].rstrip("_")

    def _call(self, node: Node, name: str) -> None:
        """Read one node; what is not known is left out, and complained about where somebody needs it."""
        if name in PASSING and node.args[0] in self.there:
            self.there[node] = self.there[node.args[0]]  # type: ignore[index]
        elif reader := getattr(self, f"_{name}", None):
            reader(node)
        elif name in MOVING:
            self._same(node)

    def _same(self, node: Node) -> None:
        """A node that gives what another gives already, such as the mean over single pixels, is that other."""
        sample = self.ranges.sample[node]
        if sample.min() == sample.max():
            return  # as others may be by chance
        for other in self.there:
            known = self.ranges.sample[other]
            if known.shape == sample.shape and torch.equal(known, sample):
                self.there[node] = self.there[other]
                return

    def _of(self, node: Any) -> Value | Layer:
        if node not in self.there:
            raise self.error(
                f"the runner in bytes has no {getattr(node, 'target', node)} ({getattr(node, 'name', '')}); it has "
                "adder layers, one convolution before them, batch norm, ReLU, sums, max pooling, and a mean and linear "
                "layer behind"
            )
        return self.there[node]

    def _tensor(self, node: Any) -> Tensor | None:
        if node is None:
            return None
        value: Any = self.graph
        for part in node.target.split("."):
            value = getattr(value, part)
        assert isinstance(value, Tensor)
        return value.double()

    def _arguments(self, node: Node, *defaults: Any) -> list[Any]:
        return [*node.args, *defaults[len(node.args) :]]

    def _layer(self, node: Node, kind: Any, source: Value, numbers: tuple[Any, Any], settings: Step) -> None:
        """Note a layer of a weight and a bias."""
        weight, bias = (self._tensor(one) for one in numbers)
        assert weight is not None
        weight = weight.flatten(1) if kind == "linear" else weight
        ones = torch.ones(len(weight), dtype=torch.float64)
        addend = torch.zeros_like(ones) if bias is None else bias
        self.there[node] = Layer(kind, source, weight, settings, ones, addend, node)

    def _conv2d(self, node: Node) -> None:
        source, weight, bias, *geometry, groups = self._arguments(node, 0, 0, None, [1, 1], [0, 0], [1, 1], 1)
        came, filters = self._of(source), self._tensor(weight)
        assert filters is not None
        whole = self.ranges.sample[source].shape[1:] == filters.shape[1:] and not any(geometry[1])
        if isinstance(came, Value) and came.kind == "picture":
            self._layer(node, "convolution", came, (weight, bias), _geometry(geometry, groups))
        elif whole:
            self._layer(node, "linear", self._floats(source), (weight, bias), {})
        else:
            raise self.error(
                f"the runner in bytes has convolutions only before all adder layers and of the whole map behind them; "
                f"not {node.name}"
            )

    def _linear(self, node: Node) -> None:
        source, weight, bias = self._arguments(node, 0, 0, None)
        self._layer(node, "linear", self._floats(source), (weight, bias), {})

    def _adder2d(self, node: Node) -> None:
        source, weight, bias, *geometry, groups, _ = self._arguments(node)
        self._layer(node, "adder", self._bytes(source), (weight, bias), _geometry(geometry, groups))

    def _batch_norm(self, node: Node) -> None:
        source, weight, bias, mean, var, _, _, eps, _ = self._arguments(node)
        layer = self._of(source)
        if not isinstance(layer, Layer) or layer.shortcut or layer.relu:
            raise self.error(f"the runner in bytes has batch norm only directly behind a layer; not {node.name}")
        scale = self._tensor(var).add(eps).rsqrt()  # type: ignore[union-attr]
        gamma, beta = self._tensor(weight), self._tensor(bias)
        scale = scale if gamma is None else scale * gamma
        shift = -self._tensor(mean) * scale + (0 if beta is None else beta)  # type: ignore[operator]
        self.there[node] = replace(layer, factor=layer.factor * scale, addend=layer.addend * scale + shift, node=node)

    def _relu(self, node: Node) -> None:
        layer = self._of(node.args[0])
        if not isinstance(layer, Layer) or layer.kind == "linear":
            raise self.error(f"the runner in bytes has ReLU only behind an adder layer or convolution; not {node.name}")
        self.there[node] = replace(layer, relu=True, node=node)

    _relu6 = _relu  # its upper bound is that of the range

    def _hardtanh(self, node: Node) -> None:
        if self._arguments(node, 0, -1.0, 1.0)[1] != 0:
            return
        self._relu(node)

    def _add(self, node: Node) -> None:
        one, other = node.args[:2]
        if not isinstance(one, Node) or not isinstance(other, Node) or node.kwargs.get("alpha", 1) != 1:
            return
        for kept, added in ((one, other), (other, one)):
            layer = self._of(kept)
            if isinstance(layer, Layer) and layer.kind == "adder" and not layer.shortcut and not layer.relu:
                self.there[node] = replace(layer, shortcut=self._bytes(added), node=node)
                return
        raise self.error(f"the runner in bytes has sums only of an adder layer and a shortcut; not {node.name}")

    def _max_pool2d(self, node: Node) -> None:
        source, kernel, stride, padding, dilation, ceil = self._arguments(node, 0, 0, [], [0], [1], False)
        kernel, stride, padding = ({*of} for of in (kernel, stride or kernel, padding))
        if any(len(of) != 1 for of in (kernel, stride, padding)) or {*dilation} != {1} or ceil:
            return
        came = self._bytes(source)
        step = {"kernel": kernel.pop(), "stride": stride.pop(), "padding": padding.pop()}
        self.there[node] = self._write("max_pool", came, source=came.number, **step)

    def _adaptive_avg_pool2d(self, node: Node) -> None:
        if {*node.args[1]} == {1}:  # type: ignore[misc]
            self._mean_of(node)
        else:
            self._same(node)

    def _mean(self, node: Node) -> None:
        axes = {axis % 4 for axis in node.args[1]}  # type: ignore[union-attr,operator]
        if axes == {2, 3} and self.ranges.sample[node.args[0]].ndim == 4:  # type: ignore[index]
            self._mean_of(node)
        else:
            self._same(node)

    def _mean_of(self, node: Node) -> None:
        came = self._bytes(node.args[0])
        self.there[node] = self._write("mean", Value("floats", 0), source=came.number, scale=came.unit, shift=came.low)

    def _write(self, step: str, value: Value, **settings: Any) -> Value:
        self.steps.append({"step": step, **settings})
        return replace(value, number=len(self.steps))

    def _floats(self, node: Any) -> Value:
        """Return the value of a node as floats in one row."""
        came = self._of(node)
        if isinstance(came, Value) and came.kind == "floats":
            return came
        came = self._bytes(node)
        return self._write("unpack", Value("floats", 0), source=came.number, scale=came.unit, shift=came.low)

    def _bytes(self, node: Any) -> Value:
        """Return the value of a node as bytes: written now, if it is a layer that has not been."""
        came = self._of(node)
        if isinstance(came, Layer):
            if came.kind == "linear":
                raise self.error("the runner in bytes has nothing behind a linear layer")
            came = self._write_layer(came)
            self.there[node] = came
        if came.kind == "picture":
            low, unit = self._scale(self.ranges.least[node], self.ranges.most[node])
            came = self._write("picture", Value("bytes", 0, low, unit), scale=1 / unit, shift=-low / unit)
            self.there[node] = came
        if came.kind != "bytes":
            raise self.error(f"the runner in bytes has a convolution before its first adder layer; not {came.kind}")
        return came

    def _write_layer(self, layer: Layer) -> Value:
        least = 0.0 if layer.relu else self.ranges.least[layer.node]
        low, unit = self._scale(least, self.ranges.most[layer.node])
        shift = layer.addend - low
        if layer.kind == "convolution":
            weight = layer.weight * (layer.factor / unit).reshape(-1, 1, 1, 1)
            settings = {"weight": _single(weight), "shift": _single(shift / unit)}
            return self._write("convolution", Value("bytes", 0, low, unit), **settings, **layer.settings)
        filters, rest = _in_bytes(layer.weight, layer.source)
        shift = shift - layer.factor * rest
        more: Step = {}
        if layer.shortcut is not None:
            shift = shift + layer.shortcut.low
            more = {"shortcut": layer.shortcut.number, "shortcut_scale": layer.shortcut.unit / unit}
        scale = -layer.factor * layer.source.unit / unit
        zero = max(0, min(LEVELS, round(-layer.source.low / layer.source.unit)))
        return self._write(
            "adder", Value("bytes", 0, low, unit), source=layer.source.number, weight=filters, scale=_single(scale),
            shift=_single(shift / unit), zero=zero, **layer.settings, **more,
        )  # fmt: skip

    def _scale(self, least: float, most: float) -> tuple[float, float]:
        """Choose what the least byte stands for, and the unit; zero has a byte of its own."""
        least = min(0.0, least)
        unit = (max(0.0, most) - least) / LEVELS or 1.0
        return -round(-least / unit) * unit, unit

    def _finish(self, node: Node) -> None:
        came = self._of(node)
        if not isinstance(came, Layer) or came.relu or came.shortcut:
            raise self.error("the runner in bytes ends with a linear or an adder layer, and batch norm")
        if came.kind == "linear":
            weight = came.weight * came.factor[:, None]
            self._write("linear", Value("floats", 0), source=came.source.number, weight=_single(weight),
                        bias=_single(came.addend))  # fmt: skip
        else:
            filters, rest = _in_bytes(came.weight, came.source)
            self._write("scores", Value("floats", 0), source=came.source.number, weight=filters,
                        scale=_single(-came.factor * came.source.unit),
                        shift=_single(came.addend - came.factor * rest))  # fmt: skip


def _geometry(sides: list[list[int]], groups: int) -> Step:
    stride, padding, dilation = (list(both) for both in sides)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def _in_bytes(weight: Tensor, source: Value) -> tuple[np.ndarray, Tensor]:
    """Return weights as bytes of the source's scale, and what each filter's distances have beyond its range."""
    inside = weight.clamp(source.low, source.low + LEVELS * source.unit)
    rest = (weight - inside).abs().flatten(1).sum(1)
    return ((inside - source.low) / source.unit).round().clamp(0, LEVELS).to(torch.uint8).numpy(), rest


def _single(x: Tensor) -> np.ndarray:
    return x.float().numpy()
