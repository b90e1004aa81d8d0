"""The compiled part, where it is installed; without it the references run. One that fails to load raises."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

native: Any  # the module, or None
try:
    import featherweight._native as native
except ModuleNotFoundError as error:
    if error.name != "featherweight._native":
        raise
    native = None

COMPILED = "compiled"  # what kernels are made of that run the compiled part

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def empty(shape: Sequence[int]) -> Tensor:
    """Give a result for the compiled functions to write into by `.numpy()`, whatever PyTorch's defaults are."""
    return torch.empty(tuple(shape), dtype=torch.float32, device="cpu")


def array(x: Tensor) -> Array:
    """Give a tensor's numbers as the compiled functions read them: float32, contiguous, and without its history."""
    numbers: Array = x.detach().float().contiguous().numpy()  # a tensor itself would be handed over more slowly
    return numbers
