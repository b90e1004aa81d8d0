"""What all products by integer addition take: settings in their range, tensors of the one type whose bits are added."""

import torch
from torch import Tensor

BACKWARDS = ("approximate", "exact")


def check_settings(backward: str, compensation: float) -> None:
    """Raises: ValueError: unknown backward, or the compensation is out of its range."""
    if backward not in BACKWARDS:
        raise ValueError(f"unknown backward {backward!r}; known: {', '.join(BACKWARDS)}")
    if not 0 <= compensation < 1:
        raise ValueError(f"the compensation must be 0 or more and less than 1; got {compensation}")


def check_types(*tensors: Tensor) -> None:
    """Raises: TypeError: a tensor is not float32."""
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        raise TypeError(f"wanted float32, whose bits are added; got {', '.join(str(t.dtype) for t in tensors)}")
