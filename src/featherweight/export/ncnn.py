"""ncnn: writes ONNX files as a folder with model.param and model.bin, in an environment of its own."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._half import is_half
from ._in_environment import InEnvironment, WorkerRunner
from ._ncnn_graph import in_words_of_pnnx
from ._runner import METADATA_KEY, ModelFileError
from ._targets import target_named
from .onnx import _proto_of

if TYPE_CHECKING:
    from onnx import ModelProto

HERE = InEnvironment("ncnn", "ncnn", holds="model.param")
missing = HERE.missing


def export(
    onnx_file: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write an ONNX file of ours for ncnn: a folder with model.param, the graph, and model.bin, the weights.

    Beside them lies featherweight.json: labels, preprocessing, shapes. Input "in0" [C, H, W], output "out0" [classes].
    Needs the environment: `featherweight environment install ncnn`.

    Args:
        onnx_file: what `featherweight.export.export` wrote.
        path: of the folder; the one that it lies in exists.
        precision: "float32"; or "float16", in which the weights are stored. `load` computes in float32 with both; on a
            phone ncnn may compute in float16 too, as its options say.
        metadata: what JSON can hold, in place of what the ONNX file says of itself.
    Returns: `path` as a Path.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        ExportError: pnnx or ncnn cannot do something that the network does; the message has their words.
        ModelFileError: not an ONNX file of ours, or one in another precision than float32.
        TargetError: another precision.
    """
    target_named("ncnn").form(precision)
    proto, shape, said = _read(onnx_file)
    said |= metadata or {}
    with tempfile.TemporaryDirectory() as temporary:
        given = Path(temporary) / "model.onnx"
        given.write_bytes(in_words_of_pnnx(proto).SerializeToString())
        request = {"onnx_file": str(given), "input_shape": shape, "half": precision == "float16"}
        with HERE.written(path, metadata=said, precision=precision, input_shape=shape, request=request):
            return Path(path)


def load(source: str | os.PathLike[str], threads: int = 1) -> WorkerRunner:
    """Open a folder that `export` wrote, in a process of ncnn's environment.

    Args:
        source: path of the folder, or of the model.param in it.
        threads: processor threads per picture.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        FileNotFoundError: there is no such folder.
        ModelFileError: not one for ncnn, or ncnn cannot run it.
        ValueError: threads less than 1, or more than 4 for each processor.
    """
    return HERE.load(source, threads)


def _read(path: str | os.PathLike[str]) -> "tuple[ModelProto, tuple[int, int, int], dict[str, Any]]":
    """Read an ONNX file, its input's shape and its metadata. Raises: ModelFileError: not one of ours."""
    proto = _proto_of(path)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in said:
        raise ModelFileError(f"{path} is an ONNX model, but not one that featherweight exported: no metadata of ours")
    if any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
        raise ModelFileError(f"{path} is int8; ncnn takes the float32 file")
    if is_half(proto):
        raise ModelFileError(f"{path} is float16; ncnn takes the float32 file")
    _, channels, height, width = (side.dim_value for side in proto.graph.input[0].type.tensor_type.shape.dim)
    return proto, (channels, height, width), json.loads(said[METADATA_KEY])
