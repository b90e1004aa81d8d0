"""The targets of export: a table. A target is a row here and the module of this room that the row names.

The module has

    export(source, path, *, precision, metadata, [calibration]) -> Path     writes whole files or none
    load(path, threads=1) -> Runner

and one that needs more than packages, such as an environment of its own, also

    missing() -> str | None     what it lacks here, with the command that mends it

Nothing of a target is imported before it is used.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

TOLERANCE = 1e-4  # float32 rounding through some hundred layers, as a share of the largest logit; measured: up to 2e-5
HALF_TOLERANCE = 1e-2  # the same for float16, whose numbers are 2^13 times as far apart


class TargetError(ValueError):
    """A target or a precision is not known, or cannot be used here; the message says what is."""


class Form(NamedTuple):
    """A precision of a target.

    Args:
        source: what `export` takes: "network", the module in float32, batch norms folded; "network and pictures", the
            same with `calibration`, training pictures float32 [N, C, H, W]; "unfolded network and pictures", with batch
            norms as they were trained; "onnx", the path of its float32 ONNX file; "int8 onnx", the path of what
            `featherweight.compress.quantize` made of that; "int8 file", the same, or of an AdderNet its file in bytes.
        tolerance: how far a logit may be from the network's, as a share of the largest; None for int8, which is
            measured, not proven.
    """

    source: Literal[
        "network", "network and pictures", "unfolded network and pictures", "onnx", "int8 onnx", "int8 file"
    ]
    tolerance: float | None = TOLERANCE

    @property
    def calibrated(self) -> bool:
        """Whether `export` takes pictures."""
        return self.source.endswith("and pictures")


class Target(NamedTuple):
    """A kind of model file, and what runs it.

    Args:
        name: as after `featherweight export --to`.
        says: one line on what it is.
        module: of `featherweight.export`.
        precisions: "float32", "float16" and "int8", as far as there are: how each is made.
        suffix: of the file; "" where it is a folder.
        holds: of a folder: the file by which it is known.
        packages, extra: what has to be installed, and the extra of ours that brings it.
        environment: the name of the environment of its own, where it needs one.
        single_threaded: whether it runs on one thread only.
    """

    name: str
    says: str
    module: str
    precisions: Mapping[str, Form]
    suffix: str
    holds: str = ""
    packages: tuple[str, ...] = ()
    extra: str = ""
    environment: str = ""
    single_threaded: bool = False

    def form(self, precision: str) -> Form:
        """Return how a precision is made. Raises: TargetError: the target has no such precision."""
        if precision not in self.precisions:
            raise TargetError(f"{self.name} has no {precision}; it has {', '.join(self.precisions)}")
        return self.precisions[precision]

    def code(self) -> ModuleType:
        """Import the module with `export` and `load`."""
        return import_module(f"featherweight.export.{self.module}")

    def missing(self) -> str | None:
        """Say what the target lacks here, or None where it can be used."""
        for package in self.packages:
            if find_spec(package) is None:
                return f"the package '{package}' is not installed: pip install 'featherweight[{self.extra}]'"
        if hasattr(self.code(), "missing"):
            reason: str | None = self.code().missing()
            return reason
        return None


_ROWS = (
    Target(
        "onnx",
        "one ONNX file, for ONNX Runtime and most others",
        "onnx",
        {"float32": Form("onnx"), "float16": Form("onnx", HALF_TOLERANCE), "int8": Form("int8 onnx", None)},
        suffix=".onnx",
        packages=("onnx", "onnxscript", "onnxruntime"),
        extra="export",
    ),
    Target(
        "openvino",
        "a folder with model.xml and model.bin, for OpenVINO on processors of PCs",
        "openvino",
        {"float32": Form("onnx"), "float16": Form("onnx", HALF_TOLERANCE), "int8": Form("int8 onnx", None)},
        suffix="",
        holds="model.xml",
        packages=("openvino",),
        extra="openvino",
    ),
    Target(
        "ncnn",
        "a folder with model.param and model.bin, for ncnn on phones and small boards",
        "ncnn",
        {"float32": Form("onnx"), "float16": Form("onnx", HALF_TOLERANCE)},
        suffix="",
        holds="model.param",
        packages=("onnx", "onnxscript", "onnxruntime"),
        extra="export",
        environment="ncnn",
    ),
    Target(
        "executorch",
        "a folder with model.pte, for ExecuTorch and XNNPACK on phones",
        "executorch",
        {"float32": Form("network"), "int8": Form("network and pictures", None)},
        suffix="",
        holds="model.pte",
        environment="executorch",
    ),
    Target(
        "litert",
        "a folder with model.tflite, for LiteRT on Android",
        "litert",
        {"float32": Form("network"), "int8": Form("network and pictures", None)},
        suffix="",
        holds="model.tflite",
        environment="litert",
    ),
    Target(
        "web",
        "a folder with a page for the browser: pictures, drawings, the camera; needs no server",
        "web",
        {"float32": Form("onnx"), "float16": Form("onnx", HALF_TOLERANCE), "int8": Form("int8 onnx", None)},
        suffix="",
        holds="model.js",
        packages=("onnx", "onnxruntime"),
        extra="export",
        environment="web",
        single_threaded=True,
    ),
    Target(
        "c99",
        "a folder with C99 source for microcontrollers: static arrays, integers, no library",
        "c99",
        {"int8": Form("int8 file", None)},
        suffix="",
        holds="c99.json",
        single_threaded=True,
        packages=("onnx", "onnxruntime"),
        extra="export",
    ),
    Target(
        "adder-int8",
        "a trained AdderNet in bytes, for our own kernels",
        "adder_int8",
        {"int8": Form("unfolded network and pictures", None)},
        suffix=".safetensors",
    ),
)

TARGETS: dict[str, Target] = {target.name: target for target in _ROWS}
"""Every target by its name."""


def target_named(name: str) -> Target:
    """Return a target.

    Raises: TargetError: there is none of that name.

    Example:
        >>> target_named("onnx").suffix, [*target_named("onnx").precisions]
        ('.onnx', ['float32', 'float16', 'int8'])
        >>> target_named("tensorrt")
        Traceback (most recent call last):
        ...
        featherweight.export._targets.TargetError: no target is called 'tensorrt'; known: onnx, openvino, ...
    """
    if name not in TARGETS:
        raise TargetError(f"no target is called {name!r}; known: {', '.join(TARGETS)}")
    return TARGETS[name]


def target_of(path: str | os.PathLike[str]) -> Target | None:
    """Tell which target a file is of by its suffix, a folder by the file that it holds; that file names it, too.

    Returns: the target, or None: there is nothing of the kind.
    """
    path = Path(path)
    for target in TARGETS.values():
        if path.is_dir():
            found = target.holds and (path / target.holds).is_file()
        else:
            found = path.name == target.holds if target.holds else path.suffix == target.suffix
        if found:
            return target
    return None
