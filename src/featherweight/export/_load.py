"""Opening a model file of any target."""

import os
from pathlib import Path

from ._runner import ModelFileError, Runner, check_threads, model_file
from ._targets import TARGETS, target_of


def load(source: str | os.PathLike[str] | bytes, threads: int = 1) -> Runner:
    """Open what `export` of any target or `quantize` wrote, or the bytes of an ONNX file; needs no PyTorch.

    Args:
        source: path of the file or folder, or content of an ONNX file.
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
    from . import _onnx_runtime

    check_threads(threads)
    if isinstance(source, bytes):
        return _onnx_runtime.load(source, threads)
    path = Path(source)
    target = target_of(path)
    if path.is_dir() and target is None:
        known = ", ".join(target.holds for target in TARGETS.values() if target.holds)
        raise ModelFileError(f"the folder {path} is no model of ours: there is none of {known} in it")
    if target is not None and target.suffix not in (".onnx", ".safetensors"):  # these two are told by their content
        runner: Runner = target.code().load(path, threads)
        return runner
    if begins_as_safetensors(model_file(path)):
        return _in_bytes(path, threads)
    return _onnx_runtime.load(path, threads)


def begins_as_safetensors(path: Path) -> bool:
    """Tell by the content: the length of a header that is in the file, and the header's brace."""
    with path.open("rb") as file:
        first = file.read(9)
    return first[8:] == b"{" and int.from_bytes(first[:8], "little") <= path.stat().st_size - 8


def _in_bytes(path: Path, threads: int) -> Runner:
    from . import adder_int8

    if not adder_int8.written_by_us(path):
        raise ModelFileError(f"{path} holds weights, for PyTorch; featherweight export makes a model of them")
    return adder_int8.load(path, threads)
