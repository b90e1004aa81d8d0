"""Which kernel each operator runs on each kind of device here, and why: read from what has been registered."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch

from ._library import OPERATORS, Operator
from ._native import COMPILED, native


class Kernel(NamedTuple):
    """What computes an operator on one kind of device, and why that: what `featherweight info` shows."""

    kernel: str
    reason: str


def kernels() -> dict[str, dict[str, Kernel]]:
    """Return for each operator and kind of device, "cpu" and "cuda", what computes it.

    Raises: ValueError: FEATHERWEIGHT_ISA names no instruction set that this processor runs.
    """
    explain = {"cpu": _on_cpu, "cuda": _on_cuda}
    return {name: {device: _of(one, device, explain[device]) for device in explain} for name, one in OPERATORS.items()}


def _of(operator: Operator, device: str, explain: Callable[[str | None], Kernel]) -> Kernel:
    if operator.only not in ("", device):
        return Kernel("none", f"the operator is for {operator.only} only")
    return explain(operator.kernels.get(device))


def _on_cpu(made_of: str | None) -> Kernel:
    if made_of is None:
        missing = "featherweight._native is not installed"
        return Kernel("reference", missing if native is None else "no kernel is registered")
    if made_of != COMPILED:
        return Kernel(made_of, "on every processor")
    asked = os.environ.get("FEATHERWEIGHT_ISA")
    return Kernel(native.kernels(), f"FEATHERWEIGHT_ISA={asked}" if asked else "chosen at run time")


def _on_cuda(made_of: str | None) -> Kernel:
    if torch.version.cuda is None:
        device = "PyTorch is built without CUDA"
    elif not torch.cuda.is_available():
        device = "no CUDA device found"
    else:
        device = torch.cuda.get_device_name()
    if made_of is not None:
        return Kernel(made_of, device)
    no_triton = "" if find_spec("triton") is not None else "; Triton is not installed"
    return Kernel("reference", f"no kernel is registered{no_triton}; {device}")
