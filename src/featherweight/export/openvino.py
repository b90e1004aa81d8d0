"""OpenVINO: runs the ONNX files that `export` and `quantize` write, in a precision that is said, never guessed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._extras import require

from ._runner import ModelFileError

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoRunner:
    """A compiled model: pictures in, logits out. Made by `load`; `request` is OpenVINO's own object."""

    def __init__(self, compiled: Any, source: str) -> None:
        self.request = compiled.create_infer_request()
        self._source = source

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 pictures [N, C, H, W] -> logits [N, num_classes], float32."""
        logits: np.ndarray = self.request.infer([x], share_inputs=True)[0]
        return logits.copy()

    def ready(self, x: np.ndarray) -> Callable[[], object]:
        """Return a function that runs once on these pictures and waits for it."""
        return lambda: self.request.infer([x], share_inputs=True, share_outputs=True)

    def __repr__(self) -> str:
        return f"OpenVinoRunner({self._source})"


def load(
    source: str | os.PathLike[str] | bytes, threads: int = 1, precision: str = "float32", *, counters: bool = False
) -> OpenVinoRunner:
    """Compile an ONNX model with OpenVINO, for the processor.

    Without being told, OpenVINO computes in bfloat16 where the processor can: here the precision is set. A model in
    int8 stays so; the precision is that of the rest.

    Args:
        source: path or content of an ONNX file.
        threads: processor threads per picture.
        precision: "float32" or "bfloat16".
        counters: count the time of each operator, for the `profiling_info` of the runner's `request`.
    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: OpenVINO cannot read it; the message has its reason.
        ValueError: an unknown precision, or threads less than 1.

    Example:
        >>> import featherweight
        >>> from featherweight.export import probe
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2)
        >>> load(probe(model, (3, 32, 32)))(np.zeros((1, 3, 32, 32), np.float32)).shape
        (1, 2)
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if threads < 1:
        raise ValueError(f"threads must be 1 or more; got {threads}")
    openvino = require("openvino", extra="openvino")
    name = "a model in memory" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise FileNotFoundError(f"there is no model file {name}")
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": counters,
    }
    try:
        model = core.read_model(source if isinstance(source, bytes) else Path(source).read_bytes())
        return OpenVinoRunner(core.compile_model(model, "CPU", settings), name)
    except RuntimeError as error:
        raise ModelFileError(f"OpenVINO cannot run {name}: {error}") from error
