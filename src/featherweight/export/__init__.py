"""Model files for other runtimes, each proven to give the network's answers. One file per target.

The names below are imported when first used: running an exported model needs no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._load import load
    from ._parity import Parity, ParityError, compare, prove
    from ._runner import ModelFileError, Runner
    from ._targets import TARGETS, Target, TargetError, target_named
    from .onnx import ExportError, export, export_proven, probe

_HOME = {
    "TARGETS": "_targets",
    "ExportError": "onnx",
    "ModelFileError": "_runner",
    "Parity": "_parity",
    "ParityError": "_parity",
    "Runner": "_runner",
    "Target": "_targets",
    "TargetError": "_targets",
    "compare": "_parity",
    "export": "onnx",
    "export_proven": "onnx",
    "load": "_load",
    "probe": "onnx",
    "prove": "_parity",
    "target_named": "_targets",
}

__all__ = [
    "TARGETS",
    "ExportError",
    "ModelFileError",
    "Parity",
    "ParityError",
    "Runner",
    "Target",
    "TargetError",
    "compare",
    "export",
    "export_proven",
    "load",
    "probe",
    "prove",
    "target_named",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'featherweight.export' has no attribute {name!r}")
    return getattr(import_module(f"featherweight.export.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
