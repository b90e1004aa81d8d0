"""Lightweight convolutional networks for PyTorch.

Every classic family, checked against its paper; what each one really costs; and the way from a folder of pictures to a
small, fast, proven model file. Nothing is computed here, and PyTorch is imported when a name first needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._threads import wait_politely

if TYPE_CHECKING:
    from ._fit import fit
    from .networks import analyze, create, list_networks, load_model, load_weights, save_model

__version__: str

_HOME = {
    "analyze": "networks",
    "create": "networks",
    "fit": "_fit",
    "list_networks": "networks",
    "load_model": "networks",
    "load_weights": "networks",
    "save_model": "networks",
}

__all__ = ["__version__", "analyze", "create", "fit", "list_networks", "load_model", "load_weights", "save_model"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("featherweight")
    if name not in _HOME:
        raise AttributeError(f"module 'featherweight' has no attribute {name!r}")
    wait_politely()
    return getattr(import_module(f"featherweight.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
