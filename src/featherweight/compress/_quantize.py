"""Int8 quantization: weights and activations in 8 bits, their scales measured on real pictures."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from featherweight._extras import require
from featherweight._files import write_atomically

from ._compact import compact

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

BATCH = 32  # pictures per calibration step
WEIGHTED = ("Conv", "Gemm", "MatMul")  # operators whose second input is a weight


class QuantizationError(ValueError):
    """A model cannot be quantized, or the quantizer left it in float."""


def quantize(
    float_onnx: str | os.PathLike[str],
    int8_onnx: str | os.PathLike[str],
    calibration: np.ndarray,
    *,
    method: Literal["minmax", "percentile"] = "minmax",
    percentile: float = 99.99,
    keep_names: bool = False,
) -> Path:
    """Write an int8 version of a float ONNX model: unsigned activations, signed weights with a scale per channel.

    That pair of types is what the 8-bit dot products of x86 processors (VNNI) take; signed activations give the same
    numbers 2 to 3 times slower. On x86 processors without VNNI, sums of two such products can overflow 16 bits: measure
    the accuracy there. Input and output stay float32 with the same names, and the metadata is carried over.
    The same input gives the same bytes. Accuracy and speed are to be measured: where activations are not piecewise
    linear (hard-swish, squeeze-excite) int8 can be slower than float.

    Args:
        float_onnx: a model written by `featherweight.export`, batch norms folded or not.
        int8_onnx: path to write.
        calibration: some hundred training pictures as the network takes them, float32 [N, C, H, W].
        method: the range of an activation is its smallest and largest value ("minmax"), or what lies between
            percentiles, so that outliers are cut off. On the digits, with MobileNets v1 to v3, "minmax" was as close
            to the float logits as 99.99 % or closer, in half the time, and 1000 pictures did no better than 256.
        percentile: share of the values kept, in percent; only for "percentile".
        keep_names: leave nodes and tensors their long names, by which a runtime's profile tells what took how long.
    Returns: `int8_onnx` as a Path.
    Raises: QuantizationError: pictures that the model does not take, or a model that would stay in float.
    """
    onnx = require("onnx", extra="export")
    model = onnx.load(float_onnx)
    _check(model, calibration)
    quantized = _quantized(float_onnx, model.graph.input[0].name, calibration, method, percentile)
    _demand_int8(quantized)
    _describe(quantized, model)
    if not keep_names:
        compact(quantized.graph)
    onnx.checker.check_model(quantized, full_check=True)
    return write_atomically(int8_onnx, quantized.SerializeToString(deterministic=True))


def _quantized(
    path: str | os.PathLike[str], input_name: str, pictures: np.ndarray, method: str, percentile: float
) -> "ModelProto":
    onnx = require("onnx", extra="export")
    tools = require("onnxruntime.quantization", extra="export")
    methods = {"minmax": tools.CalibrationMethod.MinMax, "percentile": tools.CalibrationMethod.Percentile}
    if method not in methods:
        raise QuantizationError(f"unknown calibration method {method!r}; known: {', '.join(methods)}")
    # The tools print what the percentile method does; there is no option not to.
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder, redirect_stdout(io.StringIO()):
        prepared, written = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        # Symbolic shapes are for transformers; here the plain inference knows every shape but the batch.
        tools.shape_inference.quant_pre_process(path, prepared, skip_symbolic_shape=True)
        tools.quantize_static(
            prepared,
            written,
            _Calibration(input_name, pictures),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            calibrate_method=methods[method],
            extra_options={"CalibPercentile": percentile} if method == "percentile" else {},
        )
        proto: ModelProto = onnx.load(written)
        return proto


class _Calibration:
    """Feeds the pictures in equal batches, which the percentile method needs: the last one is filled from the front."""

    def __init__(self, input_name: str, pictures: np.ndarray) -> None:
        self._input_name = input_name
        count = -(-len(pictures) // BATCH) * BATCH if len(pictures) > BATCH else len(pictures)
        self._batches: Iterator[np.ndarray] = iter(
            pictures[np.arange(start, start + min(BATCH, count)) % len(pictures)] for start in range(0, count, BATCH)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._input_name: batch}


def _check(model: "ModelProto", calibration: np.ndarray) -> None:
    wanted = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    if calibration.dtype != np.float32 or list(calibration.shape[1:]) != wanted or not len(calibration):
        raise QuantizationError(
            f"wanted calibration pictures as float32 {['N', *wanted]} with N at least 1; "
            f"got {calibration.dtype} {list(calibration.shape)}"
        )
    if not np.isfinite(calibration).all():
        raise QuantizationError("the calibration pictures have values that are not finite")
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise QuantizationError("the model is quantized already; give the float model")


def _describe(quantized: "ModelProto", model: "ModelProto") -> None:
    """Carry over what the float model says of itself, and drop the operator sets that only the tools list."""
    quantized.producer_name, quantized.producer_version = model.producer_name, model.producer_version
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    used = {node.domain for node in quantized.graph.node}
    kept = [entry for entry in quantized.opset_import if entry.domain in used]
    del quantized.opset_import[:]
    quantized.opset_import.extend(kept)


def _demand_int8(model: "ModelProto") -> None:
    """See that every weight really is int8 and every layer's input is quantized: the tools may skip in silence."""
    left = list(_left_in_float(model.graph))
    if left or not any(node.op_type in WEIGHTED for node in model.graph.node):
        raise QuantizationError(
            f"the quantizer left {len(left)} layers in float: {', '.join(left)}" if left else "no layer has weights"
        )


def _left_in_float(graph: "GraphProto") -> Iterator[str]:
    onnx = require("onnx", extra="export")
    made_by = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in WEIGHTED:
            continue
        sources = [made_by.get(name) for name in node.input[:2]]
        stored = [source.input[0] for source in sources if source is not None and source.op_type == "DequantizeLinear"]
        if len(stored) < 2 or weights.get(stored[1]) != onnx.TensorProto.INT8:
            yield node.name
