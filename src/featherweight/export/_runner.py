"""A model file that can be asked: ONNX Runtime and numpy, no PyTorch."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require
from featherweight._machine import available_processors

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

METADATA_KEY = "featherweight"  # of our entry in an ONNX file's metadata
BATCH = 64  # pictures per call of the runtime: larger batches cost memory and win nothing


THREADS = 4  # for each processor, at most: many more, and the system refuses them


class ModelFileError(ValueError):
    """A file is not a model, not one of ours, or lacks what is asked of it; the message names the file."""


class Runner:
    """A loaded model: pictures in, logits out. Made by `load`.

    Attributes:
        metadata: what the file says of itself: "version" of featherweight, "network", and what `export` was given,
            usually "labels" and "preprocessing".
        input_shape: channels, height, width.
        num_classes: how many logits a picture gets.
    """

    def __init__(self, session: "InferenceSession", metadata: dict[str, Any], source: str) -> None:
        self.metadata = metadata
        self._session = session
        self._source = source
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name
        channels, height, width = session.get_inputs()[0].shape[1:]
        self.input_shape: tuple[int, int, int] = (channels, height, width)
        self.num_classes: int = session.get_outputs()[0].shape[1]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes. Raises: ModelFileError: the file has none, or not one for each logit."""
        labels = self._entry("labels")
        if not isinstance(labels, list) or len(labels) != self.num_classes:
            raise ModelFileError(f"{self._source}: wanted {self.num_classes} labels in the metadata; got {labels!r}")
        return tuple(str(label) for label in labels)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a picture becomes the input. Raises: ModelFileError: the file does not say."""
        preprocessing = self._entry("preprocessing")
        if not isinstance(preprocessing, dict):
            raise ModelFileError(f"{self._source}: the metadata's preprocessing is no object: {preprocessing!r}")
        return preprocessing

    def _entry(self, name: str) -> object:
        if name not in self.metadata:
            raise ModelFileError(f"{self._source}: the metadata has no {name!r}; it has {', '.join(self.metadata)}")
        return self.metadata[name]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 pictures [N, C, H, W], prepared as `preprocessing` says -> logits [N, num_classes].

        Raises:
            TypeError: not an array of float32.
            ValueError: wrong channels or size.
        """
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise TypeError(f"wanted a numpy array of float32; got {getattr(x, 'dtype', type(x).__name__)}")
        if x.ndim != 4 or x.shape[1:] != self.input_shape:
            wanted = "N x {} x {} x {}".format(*self.input_shape)
            got = " x ".join(map(str, x.shape)) or "a single number"
            raise ValueError(f"{self._source} takes pictures of shape {wanted} (channels, height, width); got {got}")
        if len(x) <= BATCH:
            return self._run(x)
        return np.concatenate([self._run(x[start : start + BATCH]) for start in range(0, len(x), BATCH)])

    def _run(self, x: np.ndarray) -> np.ndarray:
        logits: np.ndarray = self._session.run([self._output], {self._input: x})[0]
        return logits

    def over(self, batches: Iterable[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Go through batches of (pictures, labels, ...) and return all logits [N, num_classes] and labels [N].

        Args:
            batches: arrays or CPU tensors; what a batch has behind the labels is ignored.
        Raises:
            TypeError, ValueError: as calling the runner, and a ValueError if there are no batches.
        """
        logits, labels = [], []
        for pictures, truth, *_ in batches:
            logits.append(self(np.ascontiguousarray(pictures)))
            labels.append(np.asarray(truth))
        if not logits:
            raise ValueError("there are no batches to go through")
        return np.concatenate(logits), np.concatenate(labels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"Runner({self._source}, {shape} -> {self.num_classes})"


def load(source: str | os.PathLike[str] | bytes, threads: int = 1) -> Runner:
    """Open a model file written by `export` or `quantize`, or the bytes of one; needs neither PyTorch nor onnx.

    It opens AdderNets in bytes too, what `featherweight.export.adder_int8.export` wrote.

    Args:
        source: path or content of the file.
        threads: processor threads per picture; more than one helps large networks only.
    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: not a model, or not one written by featherweight.
        ValueError: threads is less than 1, or more than 4 for each processor.

    Example:
        >>> import featherweight, numpy as np
        >>> from featherweight.export import probe
        >>> model = featherweight.create("mobilenet_v2", width=0.35, num_classes=7)
        >>> runner = load(probe(model, (3, 64, 64)))
        >>> runner(np.zeros((1, 3, 64, 64), np.float32)).shape
        (1, 7)
        >>> runner(np.zeros((1, 1, 64, 64), np.float32))
        Traceback (most recent call last):
        ...
        ValueError: a model in memory takes pictures of shape N x 3 x 64 x 64 (channels, height, width); got ...
    """
    check_threads(threads)
    if isinstance(source, bytes):
        name, model = "a model in memory", source
    else:
        name, path = str(source), model_file(source)
        if _begins_as_safetensors(path):
            return _in_bytes(path, threads)
        model = path.read_bytes()
    session = _session(model, threads, name)
    properties = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in properties or len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        raise ModelFileError(f"{name} is an ONNX model, but not one that featherweight exported: no metadata of ours")
    return Runner(session, json.loads(properties[METADATA_KEY]), name)


def check_threads(threads: int) -> None:
    """Refuse a number of threads that cannot be meant. Raises: ValueError."""
    processors = available_processors()
    if threads < 1:
        raise ValueError(f"threads must be 1 or more; got {threads}")
    if threads > THREADS * processors:
        raise ValueError(
            f"threads must be {THREADS * processors} or less, {THREADS} for each of the {processors} processors that "
            f"there are; got {threads}"
        )


def model_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there. Raises: FileNotFoundError."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    return Path(path)


def _begins_as_safetensors(path: Path) -> bool:
    """Tell by the content: the length of a header that is in the file, and the header's brace."""
    with path.open("rb") as file:
        first = file.read(9)
    return first[8:] == b"{" and int.from_bytes(first[:8], "little") <= path.stat().st_size - 8


def _in_bytes(path: Path, threads: int) -> Runner:
    from . import adder_int8

    if not adder_int8.written_by_us(path):
        raise ModelFileError(f"{path} holds weights, for PyTorch; featherweight export makes a model of them")
    return adder_int8.load(path, threads)


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
