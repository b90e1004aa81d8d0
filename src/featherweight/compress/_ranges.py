"""Which range of an activation the 256 levels of a byte cover: what calibration pictures show decides."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._layers import Float, Graph, activations, run
from ._qdq import QuantizationError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")
BINS = 2048
LEVELS = 255  # steps of an unsigned byte
CUTS = np.linspace(1, 0.2, 41)  # shares of a range's end that "mse" tries
MOVING = ("Flatten", "Gather", "Reshape", "Slice", "Split", "Transpose")
NEARLY = 1.3  # times as far on one side of zero as on the other, at most, for a range to be made symmetric

Values = NDArray[np.float64]
Function = Callable[[Values], Values]


class Histogram(NamedTuple):
    """How often a tensor had which values: `counts` [BINS] of equal bins from `lowest` to `highest`."""

    lowest: float
    highest: float
    counts: NDArray[np.int64]

    @property
    def centres(self) -> Values:
        """The value in the middle of each bin."""
        step = (self.highest - self.lowest) / len(self.counts)
        centres: Values = self.lowest + step * (np.arange(len(self.counts), dtype=np.float64) + 0.5)
        return centres


class Range(NamedTuple):
    """From where to where a byte covers values; zero lies in it, since it has to be a level."""

    lowest: float
    highest: float


class Observed(NamedTuple):
    """What calibration pictures showed: the ends of each activation, and how often it had which value between them."""

    ends: dict[str, Range]
    histograms: dict[str, Histogram]


def observe(model: "ModelProto", pictures: Float, *, only_ends: bool = False) -> Observed:
    """Run a float model on pictures [N, C, H, W] and look at every activation; "minmax" needs `only_ends`.

    Raises: QuantizationError: an activation is not finite.
    """
    ends = _ends(run(model, pictures, activations(model)))
    return Observed(ends, {} if only_ends else _histograms(run(model, pictures, list(ends)), ends))


def choose_ranges(
    model: "ModelProto", observed: Observed, *, method: Method, percentile: float = 99.99
) -> dict[str, Range]:
    """Choose the range of every activation of a float model.

    "minmax" takes all that was seen; "percentile" what lies between percentiles; "mse" the range with the smallest mean
    squared error of the rounded and cut values. Where a tensor goes into a function that is flat beyond some value
    (hard-swish, sigmoid), the error of "mse" is that behind the function, since what is cut off there costs nothing.
    What is concatenated or only moved has one range, and what goes into ReLU that of what comes out. A range that is
    nearly symmetric becomes so: its zero point is 128 then, which OpenVINO computes without, and its steps grow by less
    than a seventh.

    Args:
        percentile: share of the values kept, in percent.
    Returns: the range of each tensor by name.
    """
    ends, histograms = observed
    graph = Graph(model)
    match method:
        case "minmax":
            ranges = {name: Range(min(low, 0.0), max(high, 0.0)) for name, (low, high) in ends.items()}
        case "percentile":
            ranges = {name: _percentile(histogram, percentile) for name, histogram in histograms.items()}
        case "mse":
            ranges = {name: least_error(histogram, _behind(graph, name)) for name, histogram in histograms.items()}
    return {name: _balanced(found) for name, found in _tied(graph, ranges).items()}


def _balanced(found: Range) -> Range:
    """Return 128 steps below zero and 127 above, if the range needs nearly as many on either side."""
    below, above = -found.lowest, found.highest
    if min(below, above) * NEARLY < max(below, above) or above <= 0:
        return found
    step = max(below / 128, above / 127)
    return Range(-128 * step, 127 * step)


def _tied(graph: Graph, ranges: dict[str, Range]) -> dict[str, Range]:
    """Give what is joined or only moved one range, and what goes into ReLU and nothing else that of what comes out.

    Bytes then pass as they are: else each passage rounds anew, as often as a dense network has layers, and levels go to
    what ReLU throws away. What is split or shuffled on its way from one concatenation to the next has their range, too.
    """
    groups = {name: {name} for name in ranges}
    joined, cut, thrown = set[str](), set[str](), set[str]()
    for node in graph.model.graph.node:
        names = [name for name in (*node.input, *node.output) if name in ranges]
        if node.op_type == "Concat":
            joined.update(node.output)
        elif node.op_type in ("Relu", "Clip") and graph.only_taker(node.input[0]) is not None and len(names) > 1:
            cut.update(node.output)
            thrown.add(node.input[0])
        elif node.op_type not in MOVING:
            continue
        group = set[str]().union(*(groups[name] for name in names))
        groups |= dict.fromkeys(group, group)
    found = {}
    for name, group in groups.items():
        decide = (joined & group) - thrown or cut & group or group
        found[name] = _widest([ranges[one] for one in decide])
    return found


def _widest(ranges: list[Range]) -> Range:
    return Range(min(one.lowest for one in ranges), max(one.highest for one in ranges))


def _ends(batches: Iterable[dict[str, Float]]) -> dict[str, Range]:
    ends: dict[str, Range] = {}
    for batch in batches:
        for name, values in batch.items():
            low, high = float(values.min()), float(values.max())
            if not np.isfinite([low, high]).all():
                raise QuantizationError(
                    f"the activation {name} is not finite on the calibration pictures: it goes from {low} to {high}"
                )
            before = ends.get(name, Range(low, high))
            ends[name] = Range(min(before.lowest, low), max(before.highest, high))
    return ends


def _histograms(batches: Iterable[dict[str, Float]], ends: dict[str, Range]) -> dict[str, Histogram]:
    counts = {name: np.zeros(BINS, np.int64) for name in ends}
    for batch in batches:
        for name, values in batch.items():
            low, high = ends[name]
            places = ((values.ravel() - np.float32(low)) * np.float32(BINS / max(high - low, 1e-30))).astype(np.int64)
            counts[name] += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)
    return {name: Histogram(*ends[name], counts[name]) for name in ends}


def _percentile(histogram: Histogram, percentile: float) -> Range:
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    cut = (1 - percentile / 100) / 2
    low, high = (histogram.centres[np.searchsorted(shares, share)] for share in (cut, 1 - cut))
    return Range(min(float(low), 0.0), max(float(high), 0.0))


def least_error(histogram: Histogram, behind: Function | None = None) -> Range:
    """Return the range with the smallest mean squared error among the cuts of both ends.

    Args:
        histogram: of the tensor's values.
        behind: the function that the values go into, if the error counts behind it.

    Example:
        >>> counts = np.zeros(BINS, np.int64)
        >>> counts[:1024], counts[-1] = 100_000, 1  # one value far from the others
        >>> least_error(Histogram(0.0, 2.0, counts)).highest
        1.0
    """
    function = behind or (lambda x: x)
    seen = histogram.counts > 0
    values, weights = histogram.centres[seen], histogram.counts[seen] / histogram.counts.sum()
    wanted = function(values)

    def best(lows: Values, highs: Values) -> int:
        got = function(rounded(values, lows[:, np.newaxis], highs[:, np.newaxis]))
        return int((((got - wanted) ** 2) @ weights).argmin())

    lows, highs = min(histogram.lowest, 0.0) * CUTS, max(histogram.highest, 0.0) * CUTS
    low, high, before = lows[0], highs[0], None
    while before != (low, high):  # one end after the other, until neither moves
        before = low, high
        high = highs[best(np.full_like(highs, low), highs)]
        low = lows[best(lows, np.full_like(lows, high))]
    return Range(float(low), float(high))


def rounded(values: Values, low: Values | float, high: Values | float) -> Values:
    """Return what a byte makes of values: the nearest of 256 levels from low to high, of which one is zero."""
    scale = np.maximum((np.asarray(high) - low) / LEVELS, 1e-30)
    zero = np.rint(-np.asarray(low) / scale)
    levels: Values = np.clip(np.rint(values / scale) + zero, 0, LEVELS)
    return (levels - zero) * scale


def _behind(graph: Graph, name: str) -> Function | None:
    """Return the function that all of a tensor goes into, if the range may as well be judged behind it."""
    if name in graph.outputs:
        return None
    match sorted(graph.takers[name], key=lambda node: node.op_type == "Mul"):
        case [only]:
            return _function(only)
        case [gate, multiply] if set(multiply.input) == {name, gate.output[0]}:  # hard-swish and SiLU, taken apart
            function = _function(gate)
            return None if function is None else lambda x: x * function(x)
    return None


def _function(node: "NodeProto") -> Function | None:
    given = {attribute.name: attribute.f for attribute in node.attribute}
    match node.op_type:
        case "HardSigmoid":
            slope, height = given.get("alpha", 0.2), given.get("beta", 0.5)
            return lambda x: np.clip(slope * x + height, 0, 1)
        case "Sigmoid":
            return lambda x: 1 / (1 + np.exp(-x))
    return None
