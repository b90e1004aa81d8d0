"""Ways to quantize a model: what can be chosen, tried on pictures."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from featherweight._extras import require

from ._bias import correct_bias as corrected_biases
from ._equalize import can_equalize
from ._equalize import equalize as equalized_pairs
from ._layers import Float, Graph, outputs
from ._qdq import QuantizationError, to_int8
from ._ranges import Method, Range, choose_ranges, observe
from ._rounding import round_adaptively
from ._sensitivity import LayerSensitivity, decibels, measure_sensitivity, noise_of
from ._weights import channel_scales, largest_level, snap

if TYPE_CHECKING:
    from onnx import ModelProto

ENOUGH_DB = 20.0  # of the logits above their noise: 1 %; above, layers are kept in float only where that is asked for
FEW_LAYERS, FEW_WEIGHTS = 1 / 8, 1 / 20  # shares that are kept in float without being asked for, at most

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One way that was tried, and the signal to noise of the logits on the calibration pictures, in decibels."""

    method: Method
    equalize: bool
    sqnr_db: float


class Way(NamedTuple):
    """One way to quantize: a float model whose weights and biases are chosen, and its ranges and scales."""

    method: Method
    equalized: int  # pairs of layers
    model: "ModelProto"  # float, its weights not rounded
    ranges: dict[str, Range]
    scales: dict[str, Float]
    weights: dict[str, Float]
    biases: dict[str, Float]


class Work:
    """What all ways have in common: the prepared float model, the pictures, and its logits on them."""

    def __init__(
        self,
        model: "ModelProto",
        pictures: Float,
        bits: int,
        percentile: float,
        *,
        correct_bias: bool,
        progress: Progress,
    ) -> None:
        self.model, self.pictures, self.bits, self.percentile = model, pictures, bits, percentile
        self.correct_bias, self.progress = correct_bias, progress
        self.layers = Graph(model).layers()
        self.reference = outputs(model, pictures)

    def way(self, model: "ModelProto", equalized: int) -> Way:
        """Choose scales, round to the nearest, correct the biases; the ranges are chosen later."""
        graph = Graph(model)
        scales, weights = {}, {}
        for layer in self.layers:
            weight = graph.constant(layer.weight)
            largest = largest_level(self.bits, depthwise=layer.depthwise)
            scales[layer.weight] = channel_scales(weight, layer.axis, largest)
            weights[layer.weight] = snap(weight, scales[layer.weight], layer.axis, largest)
        biases = corrected_biases(model, weights, self.pictures) if self.correct_bias else {}
        return Way("minmax", equalized, model, {}, scales, weights, biases)

    def rounded_adaptively(self, way: Way) -> Way:
        """Round the weights anew, each layer for its output; the biases go with them."""
        weights, biases = round_adaptively(
            way.model, way.scales, self.bits, self.pictures, progress=lambda share: self.progress("rounding", share)
        )
        return way._replace(weights=weights, biases=biases)

    def quantized(self, way: Way, kept: Collection[str] = ()) -> "ModelProto":
        """Return the int8 model, in which the layers of these names stay in float."""
        model = _copy(way.model)
        graph = Graph(model)
        left = {name for layer in self.layers if layer.name in kept for name in (layer.weight, layer.bias)}
        for name, values in {**way.weights, **way.biases}.items():
            if name not in left:
                graph.set_constant(name, values)
        return to_int8(model, way.ranges, way.scales, kept)

    def sqnr_db(self, quantized: "ModelProto") -> float:
        """Return the logits' signal to noise on the pictures, in decibels."""
        return decibels(noise_of(self.reference, outputs(quantized, self.pictures)))


def choose(
    work: Work, methods: Sequence[Method], equalize: bool | None, learned: Mapping[str, Range]
) -> tuple[Way, tuple[Tried, ...]]:
    """Try the methods, and equalization with the best of them, if it is not said; return the best way and all tries.

    Args:
        learned: ranges of layers' inputs, by the layer's name, which no method changes.
    Raises: QuantizationError: an activation is not finite.
    """
    if equalize:
        observe(work.model, work.pictures, only_ends=True)  # raises before values that are not finite are divided by
    ways = _ways(work, methods, equalize=equalize is True, learned=learned)
    if equalize is None and can_equalize(Graph(work.model)):
        ways += _ways(work, [_best(ways)[1].method], equalize=True, learned={})
    tried = tuple(Tried(method=way.method, equalize=way.equalized > 0, sqnr_db=found) for found, way in ways)
    return _best(ways)[1], tried


def _ways(
    work: Work, methods: Sequence[Method], *, equalize: bool, learned: Mapping[str, Range]
) -> list[tuple[float, Way]]:
    """Return a way for each method, with its signal to noise."""
    model = _copy(work.model)
    pairs = equalized_pairs(model, work.pictures) if equalize else 0
    observed = observe(model, work.pictures, only_ends={*methods} == {"minmax"})
    fixed = {layer.input: learned[layer.name] for layer in work.layers if layer.name in learned}
    without_ranges = work.way(model, pairs)
    found = []
    for number, method in enumerate(methods):
        ranges = choose_ranges(model, observed, method=method, percentile=work.percentile)
        way = without_ranges._replace(method=method, ranges=ranges | fixed)
        found.append((work.sqnr_db(work.quantized(way)), way))
        work.progress("equalizing" if equalize else "choosing ranges", (number + 1) / len(methods))
    return found


def _best(ways: list[tuple[float, Way]]) -> tuple[float, Way]:
    return max(ways, key=lambda pair: pair[0])


def keep(
    work: Work,
    way: Way,
    keep_float: Collection[str] | int | None,
    least_sqnr_db: float | None,
    *,
    sensitivity: bool,
) -> tuple[tuple[str, ...], tuple[LayerSensitivity, ...]]:
    """Decide which layers stay in float; measure the layers' sensitivity if that needs it.

    Args:
        keep_float: names, or how many; None: the few without which the logits are too noisy, if there are such.
    """
    measured: list[LayerSensitivity] = []
    few = keep_float is None and work.sqnr_db(work.quantized(way)) < ENOUGH_DB
    keep_float = () if keep_float is None else keep_float
    if sensitivity or few or least_sqnr_db is not None or (isinstance(keep_float, int) and keep_float):
        measured = measure_sensitivity(
            way.model, way.weights, way.ranges, work.pictures,
            progress=lambda share: work.progress("sensitivity", share),
        )  # fmt: skip
    if few:
        return _few(work, way, measured), tuple(measured)
    order = [one.layer for one in measured]
    if not isinstance(keep_float, int):
        if unknown := sorted({*keep_float} - {layer.name for layer in work.layers}):
            raise QuantizationError(
                f"there is no layer {', '.join(unknown)}; the layers are {', '.join(one.name for one in work.layers)}"
            )
        order = [*keep_float, *(name for name in order if name not in keep_float)]
    count = keep_float if isinstance(keep_float, int) else len(keep_float)
    if count >= len(work.layers):
        raise QuantizationError(f"keep_float leaves nothing to quantize: it names {count} of {len(work.layers)} layers")
    if least_sqnr_db is not None:
        count = _enough(work, way, order, count, least_sqnr_db)
    return tuple(order[:count]), tuple(measured)


def _few(work: Work, way: Way, measured: Sequence[LayerSensitivity]) -> tuple[str, ...]:
    """Return the most sensitive layers, as few as bring the logits to `ENOUGH_DB`; none if a few light ones cannot."""
    kept: list[str] = []
    left = FEW_WEIGHTS * sum(one.weights for one in measured)
    for one in measured:
        if len(kept) >= FEW_LAYERS * len(measured):
            break
        if one.weights <= left:
            left -= one.weights
            kept.append(one.layer)
            if work.sqnr_db(work.quantized(way, kept)) >= ENOUGH_DB:
                return tuple(kept)
    return ()


def _enough(work: Work, way: Way, order: list[str], least: int, wanted_db: float) -> int:
    """Return the smallest number of layers to keep in float, by bisection, with which the bound is kept."""
    low, high = least, len(order) - 1

    def kept(count: int) -> bool:
        return work.sqnr_db(work.quantized(way, order[:count])) >= wanted_db

    if not kept(high):
        raise QuantizationError(
            f"{wanted_db:g} dB cannot be kept: with one layer of {len(order)} in int8 the logits are at "
            f"{work.sqnr_db(work.quantized(way, order[:high])):.1f} dB"
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle + 1, high)
    return low


def _copy(model: "ModelProto") -> "ModelProto":
    copied: ModelProto = require("onnx", extra="export").ModelProto()
    copied.CopyFrom(model)
    return copied
