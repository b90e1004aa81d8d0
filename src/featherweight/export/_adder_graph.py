"""From a network of adder layers to the steps of a runner in bytes: its graph, read node by node."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.fx import GraphModule, Node

from ._adder_values import LEVELS, Layer, Step, Value, geometry, in_bytes, single
from ._ranges import Ranges, graph_of
from ._unchanged import Unchanged


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
        self.lacking: dict[Node, Node] = {}  # of nodes that change nothing: the node that is not known
        self.unchanged = Unchanged(ranges.shapes)
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
        source = self.unchanged.of(node, name)
        if source is not None:
            if source in self.there:
                self.there[node] = self.there[source]
            else:
                self.lacking[node] = self.lacking.get(source, source)
        elif reader := getattr(self, f"_{name}", None):
            reader(node)

    def _of(self, node: Any) -> Value | Layer:
        if node not in self.there:
            node = self.lacking.get(node, node)
            raise self.error(
                f"the runner in bytes has no {getattr(node, 'target', node)} ({getattr(node, 'name', '')}); it has "
                "adder layers, one convolution before them, batch norm, ReLU, sums, max pooling, and a mean and linear "
                "layer behind"
            )
        return self.there[node]

    def _tensor(self, node: Any) -> Tensor | None:
        if node is None:
            return None
        if node.op != "get_attr":
            raise self.error(f"the runner in bytes has only weights that are there, not ones from {node.target}")
        value: Any = self.graph
        for part in node.target.split("."):
            value = getattr(value, part)
        assert isinstance(value, Tensor)
        return value.double()

    def _arguments(self, node: Node, *defaults: Any) -> list[Any]:
        return [*node.args, *defaults[len(node.args) :]]

    def _layer(self, node: Node, kind: Any, source: Value, settings: Step, whole: bool = True) -> None:
        """Note a layer of a weight and a bias."""
        weight, bias = (self._tensor(one) for one in self._arguments(node, 0, 0, None)[1:3])
        assert weight is not None
        weight = weight.flatten(1) if kind == "linear" else weight
        ones = torch.ones(len(weight), dtype=torch.float64)
        addend = torch.zeros_like(ones) if bias is None else bias
        self.there[node] = Layer(kind, source, weight, settings, ones, addend, node, whole)

    def _whole(self, node: Node, padding: list[int]) -> bool:
        filters = self._tensor(node.args[1])
        assert filters is not None
        return self._shape(node.args[0])[1:] == filters.shape[1:] and not any(padding)

    def _shape(self, node: Any) -> Size:
        return self.ranges.shapes[node]

    def _conv2d(self, node: Node) -> None:
        source, _, _, *sides, groups = self._arguments(node, 0, 0, None, [1, 1], [0, 0], [1, 1], 1)
        if isinstance(sides[1], str):
            raise self.error(f"the runner in bytes has paddings in pixels; {node.name} says {sides[1]!r}")
        came = self._of(source)
        if isinstance(came, Value) and came.kind == "picture":
            self._layer(node, "convolution", came, geometry(sides, groups))
        elif self._whole(node, sides[1]):
            self._layer(node, "linear", self._floats(source), {})
        else:
            raise self.error(
                f"the runner in bytes has convolutions only before all adder layers and of the whole map behind them; "
                f"not {node.name}"
            )

    def _linear(self, node: Node) -> None:
        source = node.args[0]
        came, shape = self._floats(source), self._shape(source)
        if len(shape) != 2:
            raise self.error(f"the runner in bytes has linear layers of [N, features]; {node.name} takes {[*shape]}")
        self._layer(node, "linear", came, {})

    def _adder2d(self, node: Node) -> None:
        source, _, _, *sides, groups, _ = node.args
        settings = geometry(sides, groups)  # type: ignore[arg-type]
        self._layer(node, "adder", self._bytes(source), settings, self._whole(node, settings["padding"]))

    def _batch_norm(self, node: Node) -> None:
        source, weight, bias, mean, var, training, _, eps, _ = node.args
        if mean is None or training:
            raise self.error(f"the runner in bytes has batch norm only with running statistics; {node.name} has none")
        layer = self._of(source)
        if not isinstance(layer, Layer) or layer.shortcut or layer.relu:
            raise self.error(f"the runner in bytes has batch norm only directly behind a layer; not {node.name}")
        scale = self._tensor(var).add(eps).rsqrt()  # type: ignore[union-attr,arg-type]
        if len(scale) != len(layer.factor):
            raise self.error(f"the runner in bytes has batch norm only of a layer's channels; not {node.name}")
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
        if self.ranges.shapes.get(one) != self.ranges.shapes.get(other):
            raise self.error(f"the runner in bytes has sums only of maps of one shape; not {node.name}")
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

    def _mean(self, node: Node) -> None:
        source, axes = self._arguments(node, 0, None)[:2]
        if axes and len(self._shape(source)) == 4 and {axis % 4 for axis in axes} == {2, 3}:
            self._mean_of(node)

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
            raise self.error(f"the runner in bytes has only a linear layer behind a mean; {node.name} is floats")
        return came

    def _write_layer(self, layer: Layer) -> Value:
        least = 0.0 if layer.relu else self.ranges.least[layer.node]
        low, unit = self._scale(least, self.ranges.most[layer.node])
        shift = layer.addend - low
        if layer.kind == "convolution":
            weight = layer.weight * (layer.factor / unit).reshape(-1, 1, 1, 1)
            settings = {"weight": single(weight), "shift": single(shift / unit)}
            return self._write("convolution", Value("bytes", 0, low, unit), **settings, **layer.settings)
        filters, rest = in_bytes(layer.weight, layer.source)
        shift = shift - layer.factor * rest
        more: Step = {}
        if layer.shortcut is not None:
            shift = shift + layer.shortcut.low
            more = {"shortcut": layer.shortcut.number, "shortcut_scale": layer.shortcut.unit / unit}
        scale = -layer.factor * layer.source.unit / unit
        zero = max(0, min(LEVELS, round(-layer.source.low / layer.source.unit)))
        return self._write(
            "adder", Value("bytes", 0, low, unit), source=layer.source.number, weight=filters, scale=single(scale),
            shift=single(shift / unit), zero=zero, **layer.settings, **more,
        )  # fmt: skip

    def _scale(self, least: float, most: float) -> tuple[float, float]:
        """Choose what the least byte stands for, and the unit; zero has a byte of its own."""
        least = min(0.0, least)
        unit = (max(0.0, most) - least) / LEVELS or 1.0
        return -round(-least / unit) * unit, unit

    def _finish(self, node: Node) -> None:
        given = self.ranges.given
        if not isinstance(given, Tensor):
            raise self.error(f"wanted a network that gives logits [N, classes]; it gives a {type(given).__name__}")
        came = self._of(node)
        if not isinstance(came, Layer) or came.kind == "convolution" or came.relu or came.shortcut:
            raise self.error("the runner in bytes ends with a linear or an adder layer, and batch norm")
        if given.ndim != 2 or not came.whole:
            raise self.error(
                f"wanted a network that gives logits [N, classes], each of the whole map; it gives {[*given.shape]}"
            )
        if came.kind == "linear":
            weight = came.weight * came.factor[:, None]
            self._write("linear", Value("floats", 0), source=came.source.number, weight=single(weight),
                        bias=single(came.addend))  # fmt: skip
        else:
            filters, rest = in_bytes(came.weight, came.source)
            self._write("scores", Value("floats", 0), source=came.source.number, weight=filters,
                        scale=single(-came.factor * came.source.unit),
                        shift=single(came.addend - came.factor * rest))  # fmt: skip
