"""ONNX files in ONNX Runtime: neither PyTorch nor onnx is needed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

from ._runner import BATCH, METADATA_KEY, ModelFileError, Runner

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxRunner(Runner):
    """An ONNX file in ONNX Runtime: pictures in, logits out. Made by `load`."""

    def __init__(self, session: "InferenceSession", metadata: dict[str, Any], source: str) -> None:
        given, returned = session.get_inputs()[0], session.get_outputs()[0]
        batch, channels, height, width = given.shape
        batch = batch if isinstance(batch, int) else BATCH
        super().__init__(metadata, (channels, height, width), returned.shape[1], source, batch)
        self._session, self._input, self._output = session, given.name, returned.name

    def _run(self, x: np.ndarray) -> np.ndarray:
        logits: np.ndarray = self._session.run([self._output], {self._input: x})[0]
        return logits


def load(source: Path | bytes, threads: int) -> OnnxRunner:
    """Open an ONNX file that is there, or the content of one.

    Raises: ModelFileError: not a model, or not one written by featherweight.
    """
    name = "a model in memory" if isinstance(source, bytes) else str(source)
    session = _session(source if isinstance(source, bytes) else source.read_bytes(), threads, name)
    properties = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in properties or len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        raise ModelFileError(f"{name} is an ONNX model, but not one that featherweight exported: no metadata of ours")
    return OnnxRunner(session, json.loads(properties[METADATA_KEY]), name)


def _session(model: bytes, threads: int, name: str) -> "InferenceSession":
    onnxruntime = require("onnxruntime", extra="export")
    problems = require("onnxruntime.capi.onnxruntime_pybind11_state", extra="export")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (problems.InvalidProtobuf, problems.InvalidGraph, problems.InvalidArgument, problems.Fail) as error:
        raise ModelFileError(
            f"{name} is not an ONNX model that can be run, nor a whole file of safetensors: {error}"
        ) from error
