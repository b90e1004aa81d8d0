"""OpenVINO: writes networks in its own format, and runs those and ONNX files in a precision that is said."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._extras import require
from featherweight._files import atomic_folder

from ._openvino_graph import compact
from ._runner import BATCH, METADATA_KEY, ModelFileError, Runner, check_threads, model_file
from ._targets import target_named

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # to compute in
PLACE = ["framework", METADATA_KEY]  # of our metadata: where OpenVINO puts that of an ONNX file


def export(
    onnx_file: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write an ONNX file of ours in OpenVINO's format: a folder with model.xml, the graph, and model.bin, the weights.

    Args:
        onnx_file: what `featherweight.export.export` wrote, and for int8 what `featherweight.compress.quantize` did.
        path: of the folder; the one that it lies in exists.
        precision: "float32"; "float16", in which the weights are stored, a processor computes in float32 with them; or
            "int8".
        metadata: what JSON can hold, in place of what the ONNX file says of itself.
    Returns: `path` as a Path.
    Raises:
        ModelFileError: not an ONNX file of ours; one in float16; one that is int8 where float was asked for, or the
            other way round.
        TargetError: another precision.

    Example:
        >>> import featherweight, tempfile
        >>> from featherweight.export import load, probe
        >>> folder = Path(tempfile.mkdtemp())
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2)
        >>> _ = (folder / "model.onnx").write_bytes(probe(model, (3, 32, 32)))
        >>> load(export(folder / "model.onnx", folder / "openvino"))(np.zeros((1, 3, 32, 32), np.float32)).shape
        (1, 2)
    """
    target_named("openvino").form(precision)
    openvino = _package()
    model = _read(onnx_file)
    quantized = any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
    if quantized != (precision == "int8"):
        raise ModelFileError(f"{onnx_file} is {'int8' if quantized else 'float32'}; it cannot become {precision}")
    if any(node.get_output_element_type(0) == openvino.Type.f16 for node in model.get_ops()):
        raise ModelFileError(f"{onnx_file} is float16; {precision} is made of a file in float32")
    with _nothing_sent():
        model = openvino.convert_model(os.fspath(onnx_file))  # folds what reading leaves: half the bytes of graph
    if quantized:
        compact(model)
    if metadata is not None:
        model.set_rt_info(json.dumps({**_metadata(model, str(onnx_file)), **metadata}, allow_nan=False), PLACE)
    with atomic_folder(path) as folder:
        openvino.save_model(model, folder / "model.xml", compress_to_fp16=precision == "float16")
    return Path(path)


def _package() -> Any:
    with _nothing_sent():
        return require("openvino", extra="openvino")


@contextmanager
def _nothing_sent() -> Iterator[None]:
    """Keep OpenVINO from telling its makers over the network that it is imported or converts: in a CI job it does not.

    It would ask nobody first, and leave a number for the user in the home directory.
    """
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        del os.environ["CI"]
        if before is not None:
            os.environ["CI"] = before


class OpenVinoRunner(Runner):
    """A compiled model: pictures in, logits out. Made by `load`; `request` is OpenVINO's own object."""

    def __init__(self, compiled: Any, metadata: dict[str, Any], source: str) -> None:
        batch, *sides = compiled.inputs[0].partial_shape
        channels, height, width = (side.get_length() for side in sides)
        classes = compiled.outputs[0].partial_shape[1].get_length()
        batch = batch.get_length() if batch.is_static else BATCH
        super().__init__(metadata, (channels, height, width), classes, source, batch)
        self.request = compiled.create_infer_request()

    def _run(self, x: np.ndarray) -> np.ndarray:
        logits: np.ndarray = self.request.infer([x], share_inputs=True)[0]
        return logits.copy()

    def ready(self, x: np.ndarray) -> Callable[[], object]:
        """Return a function that runs once on these pictures and waits for it."""
        return lambda: self.request.infer([x], share_inputs=True, share_outputs=True)


def load(
    source: str | os.PathLike[str] | bytes, threads: int = 1, precision: str = "float32", *, counters: bool = False
) -> OpenVinoRunner:
    """Compile a model with OpenVINO, for the processor.

    Without being told, OpenVINO computes in bfloat16 where the processor can: here the precision is set. A model in
    int8 stays so; the precision is that of the rest.

    Args:
        source: path of the folder that `export` wrote or of the model.xml in it; or path or content of an ONNX file.
        threads: processor threads per picture.
        precision: "float32" or "bfloat16".
        counters: count the time of each operator, for the `profiling_info` of the runner's `request`.
    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: OpenVINO cannot read it; the message has its reason.
        ValueError: an unknown precision, threads less than 1, or more than 4 for each processor.

    Example:
        >>> import featherweight
        >>> from featherweight.export import probe
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2)
        >>> load(probe(model, (3, 32, 32)))(np.zeros((1, 3, 32, 32), np.float32)).shape
        (1, 2)
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    check_threads(threads)
    openvino = _package()
    name = "a model in memory" if isinstance(source, bytes) else str(source)
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": counters,
    }
    model = _read(source)
    try:
        compiled = openvino.Core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise ModelFileError(f"OpenVINO cannot run {name}: {error}") from error
    return OpenVinoRunner(compiled, _metadata(model, name), name)


def _read(source: str | os.PathLike[str] | bytes) -> Any:
    """Read a folder of ours, a model.xml, or an ONNX file or its content. Raises: FileNotFoundError, ModelFileError."""
    openvino = _package()
    given: Path | bytes
    if isinstance(source, bytes):
        name, given = "a model in memory", source
    else:
        path = Path(source)
        name, path = str(source), model_file(path / "model.xml" if path.is_dir() else path)
        given = path if path.suffix == ".xml" else path.read_bytes()
    try:
        return openvino.Core().read_model(given)
    except RuntimeError as error:
        raise ModelFileError(f"OpenVINO cannot read {name}: {error}") from error


def _metadata(model: Any, name: str) -> dict[str, Any]:
    if not model.has_rt_info(PLACE):
        raise ModelFileError(f"{name} is a model, but not one that featherweight exported: no metadata of ours")
    metadata: dict[str, Any] = json.loads(model.get_rt_info(PLACE).astype(str))
    return metadata
