"""Int8 quantization: weights and activations in 8 bits, all that is chosen chosen by what real pictures lose."""

import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from featherweight._extras import require
from featherweight._files import write_atomically

from ._compact import compact
from ._four_bits import store_in_four_bits
from ._qdq import QuantizationError, prepared
from ._ranges import METHODS, Method, Range
from ._sensitivity import LayerSensitivity
from ._ways import Progress, Tried, Work, choose, keep
from ._weights import BITS

if TYPE_CHECKING:
    from onnx import ModelProto

LEAST_OPSET = 13
NEAR_DB = 25.0  # of the logits above their noise; under that, rounding weights to the nearest is not good enough


@dataclass(frozen=True, kw_only=True)
class QuantizationReport:
    """What `quantize` did.

    Args:
        path: the file written.
        method: how the ranges of the activations were chosen.
        equalized: pairs of layers between which channels were scaled.
        correct_bias, adaround, bits: as given, or by default.
        kept_float: layers that stayed in float.
        layers: with weights, in all.
        sqnr_db: signal to noise of the logits on the calibration pictures, in decibels.
        unused_ranges: names in `ranges` that no layer of the file has.
        tried: the ways among which was chosen.
        sensitivity: of each layer, most sensitive first; empty if it was not asked for.
    """

    path: Path
    method: Method
    equalized: int
    correct_bias: bool
    adaround: bool
    bits: int
    kept_float: tuple[str, ...]
    layers: int
    sqnr_db: float
    unused_ranges: tuple[str, ...]
    tried: tuple[Tried, ...]
    sensitivity: tuple[LayerSensitivity, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain types, as JSON holds it."""
        rows = [one.to_dict() for one in self.sensitivity]
        return {**asdict(self), "path": str(self.path), "sensitivity": rows}


def quantize(
    float_onnx: str | os.PathLike[str],
    int8_onnx: str | os.PathLike[str],
    calibration: np.ndarray,
    *,
    method: Literal["auto", "minmax", "percentile", "mse"] = "auto",
    percentile: float = 99.99,
    equalize: bool | None = None,
    correct_bias: bool = True,
    adaround: bool | None = None,
    bits: int = 8,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    keep_float: Collection[str] | int | None = None,
    least_sqnr_db: float | None = None,
    sensitivity: bool = False,
    keep_names: bool = False,
    report: Callable[[QuantizationReport], None] = lambda done: None,
    progress: Progress = lambda step, share: None,
) -> Path:
    """Write an int8 version of a float ONNX model: unsigned activations, signed weights with a scale per channel.

    That pair of types is what the 8-bit dot products of x86 processors (VNNI) take; signed activations give the same
    numbers 2 to 3 times slower. x86 processors without VNNI sum two such products in 16 bits: so that none is cut off,
    a weight of 8 bits is a whole number from -64 to 64; in depthwise layers, whose kernels sum in 32 bits, from -127 to
    127. Input and output stay float32 with the same names, and the metadata is carried over. The same input gives the
    same bytes. Where activations are not piecewise linear (hard-swish, squeeze-excite) int8 can be slower than float:
    measure.

    What is not said is tried: every method, and equalization with the best of them. Kept is what has the logits nearest
    to the float model's on the calibration pictures.

    Args:
        float_onnx: a model written by `featherweight.export`, batch norms folded or not.
        int8_onnx: path to write.
        calibration: some hundred training pictures as the network takes them, float32 [N, C, H, W]; without any, what
            `synthetic_pictures` makes of the network's batch norms.
        method: the range of an activation is its smallest and largest value ("minmax"), what lies between percentiles,
            so that outliers are cut off, or what rounds with the least squared error ("mse").
        percentile: share of the values kept, in percent, above 0 and at most 100; only for "percentile".
        equalize: scale channels between two convolutions (Nagel et al. 2019) so that each fills the common range.
        correct_bias: take the shift that rounded weights give a layer's mean output out of its bias.
        adaround: round each weight up or down as the layer's output wants it (Nagel et al. 2020), which takes half a
            minute for 50 layers; the biases are corrected with it. Default: for fewer than 8 bits, or where the logits
            would be under 25 dB without; but not with `ranges`, whose weights were trained as they are rounded.
        bits: 8, 6, 5 or 4 for a weight. Four bits are half a byte in the file, ONNX's INT4, which a runtime widens when
            it loads; six and five are stored as bytes: that file is no smaller, but it packs smaller.
        ranges: of the inputs of layers, by the layer's name, from `QuantizationAware.ranges`; they go before `method`,
            and exclude equalization. A layer whose name the exporter did not keep has the range of `method`; the report
            names those under `unused_ranges`.
        keep_float: names of layers that stay in float, or how many, the most sensitive ones. Default: of 8 bits, where
            the logits would be under 20 dB, as few as bring them there: at most one layer of eight, with at most a
            twentieth of the weights; if that is not enough, none.
        least_sqnr_db: keep as many of the most sensitive layers in float as this takes, in decibels of the logits'
            signal above their noise; 20 dB is a noise of 1 %.
        sensitivity: measure it for the report, even where nothing else asks for it.
        keep_names: leave nodes and tensors their long names, by which a runtime's profile tells what took how long.
        report: is given what was done.
        progress: is told the name of a step and the share of it that is done.
    Returns: `int8_onnx` as a Path.
    Raises: QuantizationError: a file that is no model of one input, pictures that it does not take, activations that
        are not finite, a choice that is none, a bound that cannot be kept, or a model that would stay in float.
    """
    check_choices(method, bits, keep_float)
    if not 0 < percentile <= 100:
        raise QuantizationError(
            f"percentile is a share of the values, above 0 and at most 100 percent; got {percentile}"
        )
    learned = {name: _learned(name, ends) for name, ends in (ranges or {}).items()}
    if learned and equalize:
        raise QuantizationError("learned ranges are of channels as they were trained: equalize cannot scale them")
    onnx = require("onnx", extra="export")
    model = _read(float_onnx)
    _check(model, calibration)
    work = Work(prepared(float_onnx), calibration, bits, percentile, correct_bias=correct_bias, progress=progress)
    methods = METHODS if method == "auto" else (method,)
    names = {layer.name for layer in work.layers}
    if learned and not names & learned.keys():
        raise QuantizationError(f"none of the ranges is of a layer: they are of {', '.join(learned)}")
    way, tried = choose(work, methods, False if learned else equalize, learned)
    if adaround is None:
        adaround = not learned and (bits < 8 or max(one.sqnr_db for one in tried) < NEAR_DB)
    if adaround:
        way = work.rounded_adaptively(way)
    if keep_float is not None and not isinstance(keep_float, int):
        keep_float = tuple(dict.fromkeys(keep_float))
    if keep_float is None and (bits < 8 or learned or least_sqnr_db is not None):
        keep_float = ()
    kept, measured = keep(work, way, keep_float, least_sqnr_db, sensitivity=sensitivity)
    quantized = work.quantized(way, kept)
    done = QuantizationReport(
        path=Path(int8_onnx), method=way.method, equalized=way.equalized, correct_bias=correct_bias or adaround,
        adaround=adaround, bits=bits, kept_float=kept, layers=len(work.layers), sqnr_db=work.sqnr_db(quantized),
        unused_ranges=tuple(sorted(learned.keys() - names)), tried=tried, sensitivity=measured,
    )  # fmt: skip
    _describe(quantized, model)
    if bits == 4:
        store_in_four_bits(quantized)
    if not keep_names:
        compact(quantized.graph)
    onnx.checker.check_model(quantized, full_check=True)
    path = write_atomically(int8_onnx, quantized.SerializeToString(deterministic=True))
    report(done)
    return path


def check_choices(method: str, bits: int, keep_float: Collection[str] | int | None) -> None:
    """Refuse what no model could be quantized with. Raises: QuantizationError."""
    if method not in ("auto", *METHODS):
        raise QuantizationError(f"unknown calibration method {method!r}; known: auto, {', '.join(METHODS)}")
    if not isinstance(bits, int) or bits not in BITS:
        raise QuantizationError(f"wanted {', '.join(map(str, BITS))} bits for a weight; got {bits!r}")
    if isinstance(keep_float, Collection) and not isinstance(keep_float, str):
        fits = all(isinstance(name, str) for name in keep_float)
    else:
        count = isinstance(keep_float, int) and not isinstance(keep_float, bool) and keep_float >= 0
        fits = keep_float is None or count
    if not fits:
        raise QuantizationError(f"keep_float is names of layers, or how many, an int of 0 or more; got {keep_float!r}")


def _learned(layer: str, ends: tuple[float, float]) -> Range:
    try:
        lowest, highest = map(float, ends)
    except (TypeError, ValueError):
        lowest = highest = math.nan
    if not -math.inf < lowest <= 0 <= highest < math.inf or lowest == highest:
        raise QuantizationError(
            f"wanted two finite numbers as the range of the layer {layer}, lowest <= 0 <= highest, not both 0; "
            f"got {ends!r}"
        )
    return Range(lowest, highest)


def _read(path: str | os.PathLike[str]) -> "ModelProto":
    onnx = require("onnx", extra="export")
    problem = require("google.protobuf.message", extra="export").DecodeError
    try:
        model: ModelProto = onnx.load(path)
    except problem as error:
        raise QuantizationError(f"{path} is not an ONNX model: {error}") from error
    return model


def _check(model: "ModelProto", calibration: np.ndarray) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    shapes = [[dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in (*inputs, *model.graph.output[:1])]
    if len(inputs) != 1 or len(shapes) != 2 or min(map(len, shapes)) < 2:
        raise QuantizationError(
            f"wanted a model of one input [N, ...] with logits [N, classes, ...]; got {len(inputs)} inputs and "
            f"{len(model.graph.output)} outputs, of the shapes {shapes} where 0 is any size"
        )
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise QuantizationError("the model is quantized already; give the float model")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < LEAST_OPSET:
        raise QuantizationError(f"a scale per channel needs opset {LEAST_OPSET} of ONNX; the model is of {opset}")
    if not isinstance(calibration, np.ndarray):
        raise QuantizationError(f"wanted calibration pictures as an array of float32; got {type(calibration).__name__}")
    batch, *wanted = shapes[0]
    fits = calibration.dtype == np.float32 and list(calibration.shape[1:]) == wanted
    if not fits or not len(calibration) or len(calibration) % max(batch, 1):
        raise QuantizationError(
            f"wanted calibration pictures as float32 {['N', *wanted]} with N "
            f"{f'a multiple of {batch}' if batch > 1 else 'at least 1'}; "
            f"got {calibration.dtype} {list(calibration.shape)}"
        )
    if not np.isfinite(calibration).all():
        raise QuantizationError("the calibration pictures have values that are not finite")


def _describe(quantized: "ModelProto", model: "ModelProto") -> None:
    """Carry over what the float model says of itself, and drop the operator sets that only the tools list."""
    quantized.producer_name, quantized.producer_version = model.producer_name, model.producer_version
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    used = {node.domain for node in quantized.graph.node}
    kept = [entry for entry in quantized.opset_import if entry.domain in used]
    del quantized.opset_import[:]
    quantized.opset_import.extend(kept)
