"""The runtimes that a network can be measured in: a table, each with what it needs and how it is made ready."""

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Ready = tuple[Callable[[], object], np.ndarray]  # a run that waits for its end, and the logits it gives


class RuntimeMissingError(ValueError):
    """A runtime is not known, or cannot run here; the message says what it lacks."""


class Prepared:
    """A network with pictures of noise, in the forms that runtimes take; each form is made when first asked for.

    Args:
        model: [N, C, H, W] -> [N, classes], in evaluation mode.
        x: float32 [N, C, H, W].
        threads: of the processor.
    """

    def __init__(self, model: "nn.Module", x: np.ndarray, threads: int) -> None:
        self.model, self.x, self.threads = model, x, threads

    @cached_property
    def folded(self) -> "nn.Module":
        """A copy with batch norms folded into the layers before them."""
        from featherweight.compress import fold_batch_norm

        return fold_batch_norm(copy.deepcopy(self.model))

    @cached_property
    def onnx(self) -> bytes:
        """The folded network as an ONNX file, for this batch."""
        from featherweight.export import probe

        return probe(self.folded, self.x.shape[1:], batch=len(self.x))

    @cached_property
    def onnx_int8(self) -> bytes:
        """The same in int8, its ranges taken from these pictures: right for times, not for answers."""
        from featherweight.compress import quantize

        with tempfile.TemporaryDirectory(prefix="featherweight-") as folder:
            float_file, int8_file = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            float_file.write_bytes(self.onnx)
            plain: Any = {
                "method": "minmax", "equalize": False, "correct_bias": False, "adaround": False, "keep_float": 0,
            }  # fmt: skip
            return quantize(float_file, int8_file, self.x, keep_names=True, **plain).read_bytes()


class Runtime(NamedTuple):
    """One way to run a network.

    Args:
        says: one line on what it is.
        ready: makes a network ready.
        package, extra: what has to be installed, and the extra that brings it.
        gpu: whether it needs one.
    """

    says: str
    ready: Callable[[Prepared], Ready]
    package: str = "torch"
    extra: str = ""
    gpu: bool = False


def _torch(subject: Prepared, *, mode: str, folded: bool = False) -> Ready:
    from featherweight.export import pytorch

    runner = pytorch.load(copy.deepcopy(subject.folded if folded else subject.model), mode)
    return runner.ready(subject.x), runner(subject.x)


def _onnxruntime(subject: Prepared, *, int8: bool = False) -> Ready:
    from featherweight.export import load

    runner = load(subject.onnx_int8 if int8 else subject.onnx, subject.threads)
    return partial(runner, subject.x), runner(subject.x)


def _openvino(subject: Prepared, *, int8: bool = False, precision: str = "float32") -> Ready:
    from featherweight.export import openvino

    runner = openvino.load(subject.onnx_int8 if int8 else subject.onnx, subject.threads, precision)
    return runner.ready(subject.x), runner(subject.x)


RUNTIMES = {
    "eager": Runtime("PyTorch as it comes", partial(_torch, mode="eager")),
    "folded": Runtime("PyTorch, batch norms folded", partial(_torch, mode="eager", folded=True)),
    "channels_last": Runtime("PyTorch, channels-last memory", partial(_torch, mode="channels_last")),
    "bfloat16": Runtime("PyTorch, channels-last, bfloat16 autocast", partial(_torch, mode="bfloat16")),
    "compile": Runtime("torch.compile, weights frozen", partial(_torch, mode="compile")),
    "compile_bfloat16": Runtime("torch.compile, channels-last, bfloat16", partial(_torch, mode="compile_bfloat16")),
    "onnxruntime": Runtime("ONNX Runtime, float32", _onnxruntime, "onnxruntime", "export"),
    "onnxruntime_int8": Runtime("ONNX Runtime, int8", partial(_onnxruntime, int8=True), "onnxruntime", "export"),
    "openvino": Runtime("OpenVINO, float32", _openvino, "openvino", "openvino"),
    "openvino_bfloat16": Runtime(
        "OpenVINO, bfloat16", partial(_openvino, precision="bfloat16"), "openvino", "openvino"
    ),
    "openvino_int8": Runtime("OpenVINO, int8", partial(_openvino, int8=True), "openvino", "openvino"),
    "cuda": Runtime("PyTorch on a GPU", partial(_torch, mode="cuda"), gpu=True),
    "cuda_channels_last": Runtime("GPU, channels-last", partial(_torch, mode="cuda_channels_last"), gpu=True),
    "cuda_amp": Runtime("GPU, channels-last, float16 autocast", partial(_torch, mode="cuda_amp"), gpu=True),
    "cuda_compile": Runtime("GPU, torch.compile", partial(_torch, mode="cuda_compile"), gpu=True),
    "cuda_graph": Runtime("GPU, all kernels as one CUDA graph", partial(_torch, mode="cuda_graph"), gpu=True),
}
SLOW = ("compile", "compile_bfloat16", "cuda_compile")  # to get ready: only when they are asked for


def missing(name: str) -> str | None:
    """Say what a runtime lacks here, or None where it can run.

    Raises: RuntimeMissingError: no runtime has that name.

    Example:
        >>> missing("eager") is None
        True
        >>> missing("tensorflow")
        Traceback (most recent call last):
        ...
        featherweight.bench._runtimes.RuntimeMissingError: no runtime is called 'tensorflow'; known: eager, folded, ...
    """
    if name not in RUNTIMES:
        raise RuntimeMissingError(f"no runtime is called {name!r}; known: {', '.join(RUNTIMES)}")
    runtime = RUNTIMES[name]
    if find_spec(runtime.package) is None:
        return f"the package '{runtime.package}' is not installed: pip install 'featherweight[{runtime.extra}]'"
    if runtime.gpu:
        import torch

        if not torch.cuda.is_available():
            return "PyTorch finds no GPU"
    return None


def usable(names: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Split runtimes, by default all, into those that can run here and, with the reason, those that cannot."""
    reasons = {name: missing(name) for name in (names or RUNTIMES)}
    return [name for name, reason in reasons.items() if reason is None], {
        name: reason for name, reason in reasons.items() if reason is not None
    }
