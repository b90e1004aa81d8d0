"""AdderNets in bytes: a file of safetensors, and a runner on our own kernels that stays in bytes from layer to layer.

An absolute difference has one unit, so a layer's weights take the scale of its input: byte b stands for low + unit * b
in both. Weights outside of the input's range lose nothing, as |x - f| = |x - clip(f)| + |f - clip(f)| for an x inside.
Batch norm, ReLU and the sum with a shortcut are part of the rounding to the next layer's bytes.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._files import ADDER_INT8 as FORMAT
from featherweight._files import write_atomically

from ._runner import ModelFileError, Runner, check_threads, model_file
from ._targets import target_named

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AdderRunner", "ModelFileError", "UnsupportedError", "export", "load"]

VERSION = 1
MOST = 2**31 - 1  # of a setting, and of the numbers of a picture

# What each step has: its numbers in the file's tensors, each with its type and dimensions, and its settings.
TENSORS: dict[str, dict[str, tuple[str, int]]] = {
    "convolution": {"weight": ("float32", 4), "shift": ("float32", 1)},
    "adder": {"weight": ("uint8", 4), "scale": ("float32", 1), "shift": ("float32", 1)},
    "scores": {"weight": ("uint8", 4), "scale": ("float32", 1), "shift": ("float32", 1)},
    "picture": {},
    "max_pool": {},
    "mean": {},
    "unpack": {},
    "linear": {"weight": ("float32", 2), "bias": ("float32", 1)},
}


class UnsupportedError(ValueError):
    """A network has an operator that the runner lacks; the message names it."""


def export(
    model: "nn.Module",
    path: str | os.PathLike[str],
    calibration: np.ndarray,
    *,
    precision: str = "int8",
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write a trained network of adder layers as bytes, for pictures of one size.

    Kept in float are the first convolution and the classifier's convolution or linear layer. Everything
    between must be adder layers with batch norm, ReLU or ReLU6, sums with shortcuts, max pooling.

    Args:
        model: [N, C, H, W] -> [N, classes]; its mode does not matter, it is taken as in evaluation mode.
        path: of the file; its folder exists.
        calibration: some hundred training pictures as the network takes them, float32 [N, C, H, W]: the range of each
            layer's values is that on these.
        precision: "int8": there is no other.
        metadata: what JSON can hold. `Runner.labels` and `Runner.preprocessing` read the entries of these names.
    Returns: `path` as a Path.
    Raises:
        UnsupportedError: the network has something else; the message names it.
        TargetError: another precision.
        ValueError: the pictures are not finite float32 of four dimensions.

    Example:
        >>> import featherweight, tempfile
        >>> model = featherweight.create("adder_resnet20", width=0.5, in_channels=1)
        >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> pictures = np.random.rand(4, 1, 16, 16).astype(np.float32)
        >>> load(export(model, path, pictures))(pictures).shape
        (4, 10)
    """
    from safetensors.numpy import save

    from featherweight import __version__

    from ._adder_graph import compiled

    target_named("adder-int8").form(precision)
    if calibration.dtype != np.float32 or calibration.ndim != 4 or not len(calibration):
        raise ValueError(
            f"wanted calibration pictures as float32 [N, C, H, W]; got {calibration.dtype} {list(calibration.shape)}"
        )
    if not np.isfinite(calibration).all():
        raise ValueError("the calibration pictures have values that are not finite")
    steps = compiled(model, calibration, UnsupportedError)
    tensors: dict[str, np.ndarray] = {}
    settings = []
    for number, step in enumerate(steps, start=1):
        names = TENSORS[step["step"]]
        tensors |= {f"{number}.{name}": np.ascontiguousarray(step[name]) for name in names}
        settings.append({name: value for name, value in step.items() if name not in names})
    try:
        _network(list(calibration.shape[1:]), settings, tensors)
    except (TypeError, ValueError) as error:
        raise UnsupportedError(f"the runner in bytes has no such network: {error}") from error
    network = {"name": getattr(model, "name", None), "options": getattr(model, "options", {})}
    entry = {"version": __version__, "network": network, **(metadata or {})}
    header = {
        "format": FORMAT, "format_version": str(VERSION), "featherweight": json.dumps(entry, allow_nan=False),
        "input_shape": json.dumps(calibration.shape[1:]), "steps": json.dumps(settings, allow_nan=False),
    }  # fmt: skip
    return write_atomically(path, save(tensors, header))


class AdderRunner(Runner):
    """A loaded network of bytes: pictures in, logits out. Made by `load`.

    A pixel that is not a number counts as some byte: the logits of such a picture look like any others and say nothing.

    Attributes:
        steps: what it does, in order: "convolution", "adder", "max_pool"...
    """

    def __init__(self, network: Any, said: Mapping[str, Any], source: str, threads: int) -> None:
        channels, height, width = said["input_shape"]
        super().__init__(said["featherweight"], (channels, height, width), network.outputs, source)
        self.steps = tuple(str(step["step"]) for step in said["steps"])
        self._network, self._threads = network, threads

    def describe(self) -> str:
        """Say in one line what is in bytes and what in float."""
        adding = sum(step in ("adder", "scores") for step in self.steps)
        names = {"convolution": "the first convolution", "linear": "the last layer"}
        in_float = " and ".join(names[step] for step in self.steps if step in names)
        return f"in bytes from layer to layer: {adding} adder layers; in float: {in_float or 'nothing'}"

    def _run(self, x: np.ndarray) -> np.ndarray:
        logits = np.empty((len(x), self.num_classes), np.float32)
        self._network.run(np.ascontiguousarray(x), logits, self._threads)
        return logits


def load(path: str | os.PathLike[str], threads: int = 1) -> AdderRunner:
    """Open a file that `export` wrote; needs no PyTorch.

    Args:
        threads: processor threads per picture.
    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: not such a file, of another version of the format, or damaged: the message says what.
        ValueError: threads is less than 1, or more than 4 for each processor.
    """
    check_threads(threads)
    said, _, network = contents(path)
    return AdderRunner(network, said, str(path), threads)


def contents(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray], Any]:
    """Read a file that `export` wrote: what it says of itself, its tensors, and the compiled network of both.

    Raises: FileNotFoundError, ModelFileError: as `load`.
    """
    with _opened(model_file(path)) as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise ModelFileError(f"{path} is not an AdderNet in bytes: its format is {header.get('format')!r}")
        if header.get("format_version") != str(VERSION):
            raise ModelFileError(
                f"{path} has version {header.get('format_version')} of its format; this featherweight reads {VERSION}"
            )
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            said = {name: json.loads(header[name]) for name in ("input_shape", "steps", "featherweight")}
            if not isinstance(said["featherweight"], dict):
                raise ValueError(f"the entry featherweight is no object: {said['featherweight']!r}")
            return said, tensors, _network(said["input_shape"], said["steps"], tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelFileError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def written_by_us(path: str | os.PathLike[str]) -> bool:
    """Say whether a file of safetensors is what `export` wrote, and not a network's weights.

    Raises: ModelFileError: it is not a file of safetensors.
    """
    with _opened(path) as file:
        return bool((file.metadata() or {}).get("format") == FORMAT)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            yield file
    except SafetensorError as error:
        raise ModelFileError(f"{path} is not a file of safetensors: {error}") from error


def _network(shape: list[int], steps: list[dict[str, Any]], tensors: dict[str, np.ndarray]) -> Any:
    """Build the compiled network; it holds all shapes against each other itself."""
    import featherweight._native as native

    if not isinstance(steps, list) or not steps or steps[-1].get("step") not in ("linear", "scores"):
        raise ValueError("the last step is not one that gives logits, linear or scores")
    if len(shape) != 3 or any(side < 1 for side in shape) or math.prod(shape) > MOST:
        raise ValueError(f"wanted the input as [channels, height, width], no more than {MOST} numbers; got {shape}")
    network = native.Int8Network(*shape)
    for number, said in enumerate(steps, start=1):
        step = dict(said)
        kind = step.pop("step")
        for name, (dtype, dimensions) in TENSORS[kind].items():
            tensor = tensors[f"{number}.{name}"]
            if tensor.dtype != dtype or tensor.ndim != dimensions:
                raise ValueError(
                    f"wanted {number}.{name} as {dtype} of {dimensions} dimensions; got {tensor.dtype} of {tensor.ndim}"
                )
            if not np.isfinite(tensor).all():
                raise ValueError(f"{number}.{name} has values that are not finite")
            step[name] = tensor
        for name, value in step.items():
            _check_setting(f"{number}.{name}", value)
        if getattr(network, kind)(**step) != number:
            raise ValueError(f"step {number} is out of order")
    return network


def _check_setting(name: str, value: object) -> None:
    """Hold a number, or each of a list, to the range of the runner's own. Raises: ValueError."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, float) and not abs(one) <= float(np.finfo(np.float32).max):
            raise ValueError(f"{name} is not finite in float32: {one}")
        if isinstance(one, int) and not -1 <= one <= MOST:
            raise ValueError(f"wanted {name} from -1, which stands for none, to {MOST}; got {one}")
