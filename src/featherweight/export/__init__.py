"""Model files for other runtimes, each proven to give the network's answers. One file per target.

The names below are imported when first used: running an exported model needs no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._parity import Parity, ParityError, compare, prove
    from .onnx import ExportError, ModelFileError, Runner, export, export_proven, load, probe

_HOME = {
    "ExportError": "onnx",
    "ModelFileError": "onnx",
    "Parity": "_parity",
    "ParityError": "_parity",
    "Runner": "onnx",
    "compare": "_parity",
    "export": "onnx",
    "export_proven": "onnx",
    "load": "onnx",
    "probe": "onnx",
    "prove": "_parity",
}

__all__ = [
    "ExportError",
    "ModelFileError",
    "Parity",
    "ParityError",
    "Runner",
    "compare",
    "export",
    "export_proven",
    "load",
    "probe",
    "prove",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'featherweight.export' has no attribute {name!r}")
    return getattr(import_module(f"featherweight.export.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
