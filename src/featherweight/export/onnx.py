"""ONNX: write a network as a file that ONNX Runtime runs, prove it, and load it again."""

import copy
import io
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require
from featherweight._files import atomic_path, write_atomically

from ._adder_onnx import adder_network, has_adder_layers
from ._half import is_half, to_half
from ._load import load
from ._parity import Parity, prove
from ._runner import METADATA_KEY, ModelFileError, model_file
from ._targets import TOLERANCE, target_named

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

__all__ = ["ExportError", "export", "export_proven", "load", "probe"]

OPSET, IR_VERSION = 20, 10


class ExportError(RuntimeError):
    """The exporter wrote something else than it was asked for."""


def export(
    model: "nn.Module | str | os.PathLike[str]",
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    metadata: Mapping[str, object],
    input_size: int | tuple[int, int, int] | None = None,
) -> Path:
    """Write a network as one ONNX file, for any number of pictures of one size.

    input "input" float32 [batch, C, H, W] -> output "logits" float32 [batch, classes]

    The file's metadata entry "featherweight" is a JSON object: `metadata`, the "version" of featherweight, and the
    "network" (name and options, where `create` built it). The graph is checked, has opset 20 and holds the weights.
    Fold batch norms first (`featherweight.compress.fold_batch_norm`): the exporter then takes half the time.

    In float16 weights and activations have 11 bits, and the input and the output stay float32. The file is half as
    large; a processor without arithmetic for it computes in float32 between roundings, not faster. Layers with weights
    that float16 cannot hold stay float32, and the metadata's entry "in_float32" names them.

    Args:
        model: [N, C, H, W] -> [N, classes]; its mode does not matter, it is exported as in evaluation mode. Or a file
            that this function wrote, in float32, and for int8 one that `featherweight.compress.quantize` made of it.
        path: of the file; its folder exists.
        precision: "float32", "float16", or "int8", of a file that is.
        metadata: what JSON can hold. `Runner.labels` and `Runner.preprocessing` read the entries of these names.
        input_size: side in pixels, or channels, height, width. Default: that of the preprocessing if it says
            "channels" and "resolution", else the network's own `in_channels` and `resolution`.
    Returns: `path` as a Path.
    Raises:
        ExportError: the exporter gave another opset than asked for. What the exporter itself cannot do, it raises.
        ModelFileError: a file in float16; one that is int8 where float was asked for, or the other way round.
        TargetError: another precision.

    Example:
        >>> import featherweight, tempfile
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2, in_channels=1)
        >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
        >>> _ = export(model, path, metadata={"labels": ["a", "b"]}, input_size=32)
        >>> load(path).labels
        ('a', 'b')
    """
    onnx = require("onnx", extra="export")
    target_named("onnx").form(precision)
    if isinstance(model, (str, os.PathLike)):
        proto = _opened(model, precision)
        entry = {**_entry(proto), **metadata}
    else:
        proto = _exported(model, _input_shape(model, input_size, metadata))
        _strip(proto)
        _demand_versions(proto)
        entry = {**_made_from(model), **metadata}
        if precision == "int8":
            raise ModelFileError("wanted a file that compress.quantize made, for int8; got a network")
    if precision == "float16":
        entry["in_float32"] = to_half(proto)
    _describe(proto, entry)
    onnx.checker.check_model(proto, full_check=True)
    return write_atomically(path, proto.SerializeToString(deterministic=True))


def export_proven(
    model: "nn.Module",
    path: str | os.PathLike[str],
    batches: Iterable[Sequence[Any]],
    *,
    reference: np.ndarray,
    metadata: Mapping[str, object],
    input_size: int | tuple[int, int, int] | None = None,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Export, run the file on pictures, and keep it only if it gives the reference's logits.

    Args:
        model: what is exported, usually the folded copy.
        path: of the file; when parity fails, what was there before stays.
        batches: of (pictures, labels, ...), pictures float32 [N, C, H, W], as arrays or CPU tensors.
        reference: logits of the network as it was trained on the same pictures, [all pictures, classes].
        metadata, input_size: as `export`.
        tolerance: as `prove`.
    Raises:
        ParityError: the file disagrees with the reference; it is not kept.
        ExportError: as `export`.
    """
    with atomic_path(path) as temporary:
        export(model, temporary, metadata=metadata, input_size=input_size)
        logits, labels = load(temporary).over(batches)
        return prove(reference, logits, labels, tolerance=tolerance)


def probe(model: "nn.Module", input_size: int | tuple[int, int, int] | None = None, batch: int = 1) -> bytes:
    """Return an ONNX model for measuring latency only, for so many pictures, in a tenth of the time of `export`.

    A search measures many candidates before it trains one, and `export` takes seconds for each. PyTorch's older
    exporter, from a trace, takes a fifth of a second, and ONNX Runtime runs its graph equally fast. A trace is blind to
    anything that depends on the batch: this is not a file to ship.

    Args:
        model: [N, C, H, W] -> [N, classes].
        input_size: as `export`; default: the network's own.
        batch: pictures at a time.
    Returns: content of an ONNX file, for `load`.

    Example:
        >>> import featherweight
        >>> load(probe(featherweight.create("mobilenet_v2", width=0.35), (3, 96, 96)))
        OnnxRunner(a model in memory, 3x96x96 -> 1000)
    """
    import torch

    onnx = require("onnx", extra="export")
    shape = _input_shape(model, input_size, {})
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        for message in ("You are using the legacy TorchScript-based ONNX export", "The feature will be removed"):
            warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        # A network may ask for the size of its map: a probe is for one size.
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean")
        # It writes a padding in a way that it then cannot simplify; ONNX Runtime can.
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1 can be constant folded")
        torch.onnx.export(
            model, (torch.zeros(batch, *shape),), buffer,  # type: ignore[arg-type]  # its stub: paths only
            dynamo=False, opset_version=OPSET, input_names=["input"], output_names=["logits"],
        )  # fmt: skip
    proto = onnx.load_from_string(buffer.getvalue())
    _describe(proto, _made_from(model) | {"probe": True})
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _input_shape(
    model: "nn.Module", input_size: int | tuple[int, int, int] | None, metadata: Mapping[str, object]
) -> tuple[int, int, int]:
    preprocessing = metadata.get("preprocessing")
    if isinstance(input_size, tuple):
        return input_size
    channels, side = getattr(model, "in_channels", None), getattr(model, "resolution", None)
    if isinstance(preprocessing, Mapping):
        channels, side = preprocessing.get("channels", channels), preprocessing.get("resolution", side)
    side = side if input_size is None else input_size
    if not isinstance(channels, int) or not isinstance(side, int):
        raise ValueError("the model does not say its input size: give input_size=(channels, height, width)")
    return channels, side, side


def _inference_copy(model: "nn.Module") -> "nn.Module":
    """Copy the network to the CPU in evaluation mode, without activations that write over their input.

    The exporter would first have to rewrite those as plain ones, with symbolic shapes: most of its time.
    """
    copied = copy.deepcopy(model).cpu().eval()
    for module in copied.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return copied


def _exported(model: "nn.Module", shape: tuple[int, int, int]) -> "ModelProto":
    """Export with a dynamic batch; the example has two pictures, because a batch of one would be taken as constant."""
    import torch

    require("onnxscript", extra="export")
    copied, example, sizes = _inference_copy(model), (torch.zeros(2, *shape),), ({0: torch.export.Dim("batch")},)
    settings: dict[str, Any] = {
        "dynamo": True, "opset_version": OPSET, "verbose": False, "input_names": ["input"], "output_names": ["logits"],
    }  # fmt: skip
    try:
        with torch.no_grad():
            if has_adder_layers(model):
                return adder_network(copied, example, sizes, settings)
            program = torch.onnx.export(copied, example, dynamic_shapes=sizes, **settings)
    except Exception as error:
        if _was_interrupted(error):  # Ctrl-C while it imports its parts becomes an error of its own
            raise KeyboardInterrupt from error
        raise
    assert program is not None
    proto: ModelProto = program.model_proto
    return proto


def _was_interrupted(error: BaseException | None) -> bool:
    """Tell whether an error comes of Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _strip(proto: "ModelProto") -> None:
    """Take out what the exporter notes for its developers at each node: names of source files and lines of code."""
    graph = proto.graph
    del graph.value_info[:]
    graph.doc_string = ""
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _made_from(model: "nn.Module") -> dict[str, object]:
    """Say what writes the file, and from what."""
    from featherweight import __version__

    network = {"name": getattr(model, "name", None), "options": getattr(model, "options", {})}
    return {"version": __version__, "network": network}


def _describe(proto: "ModelProto", entry: Mapping[str, object]) -> None:
    """Write into the file what is said of it."""
    from featherweight import __version__

    proto.producer_name, proto.producer_version = "featherweight", __version__
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=json.dumps(entry, allow_nan=False))


def _opened(path: str | os.PathLike[str], precision: str) -> "ModelProto":
    """Read a file of ours. Raises: FileNotFoundError; ModelFileError: what is in it cannot become that precision."""
    proto = _proto_of(path)
    quantized = any(node.op_type == "QuantizeLinear" for node in proto.graph.node)
    if quantized != (precision == "int8"):
        raise ModelFileError(f"{path} is {'int8' if quantized else 'float'}; it cannot become {precision}")
    if is_half(proto):
        raise ModelFileError(f"{path} is float16; {precision} is made of a file in float32")
    return proto


def _proto_of(path: str | os.PathLike[str]) -> "ModelProto":
    """Read an ONNX file, of any suffix. Raises: FileNotFoundError; ModelFileError: it is none."""
    onnx = require("onnx", extra="export")
    problem = require("google.protobuf.message", extra="export").DecodeError
    try:
        proto: ModelProto = onnx.load_from_string(model_file(path).read_bytes())
    except problem as error:
        raise ModelFileError(f"{path} is not an ONNX model: {error}") from error
    return proto


def _entry(proto: "ModelProto") -> dict[str, object]:
    """Read what a file says of itself; nothing, if it is not ours."""
    found: dict[str, object] = json.loads(
        {item.key: item.value for item in proto.metadata_props}.get(METADATA_KEY, "{}")
    )
    return found


def _demand_versions(proto: "ModelProto") -> None:
    """Check what was really written: asked for an opset it cannot do, the exporter gives another one in silence."""
    opsets = {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}
    if opsets != {"ai.onnx": OPSET} or proto.ir_version != IR_VERSION:
        raise ExportError(
            f"wanted ONNX opset {OPSET} and IR version {IR_VERSION}; the exporter of this PyTorch gave "
            f"{opsets} and IR version {proto.ir_version}"
        )
